"""What a network costs: bits that a coder spends, parameters, multiply-adds."""
