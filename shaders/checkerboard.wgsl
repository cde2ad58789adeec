// Anchors are where row + column is odd. keep: 0 everything, 1 anchors, 2 the others.
fn isAnchor(x: i32, y: i32) -> bool {
  return ((x + y) & 1) == 1;
}

fn isKept(keep: i32, x: i32, y: i32) -> bool {
  return keep == 0 || (keep == 1) == isAnchor(x, y);
}
