  // What the shares of a tile bring, before all of them sum it, each its part of the results.
#for o in 0..TO
#for j in 0..TX * TY
  parts[${(o * TX * TY + j) * GROUP} + lane] = a${o}_${j};
#end
#end
  workgroupBarrier();
