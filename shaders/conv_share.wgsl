  // The tile, where its input begins, and which of the SPLIT shares of the input groups is this invocation's.
  let index = linearIndex(id, workgroups);
  let t = tileOf(tileNumber(index));
#if SPLIT > 1
  let lane = index % ${GROUP};
  let share = lane / ${GROUP / SPLIT};
#else
  let share = 0;
  if (!t.exists) { return; }
#end
  let px = t.x * ${S} + p.origin;
  let py = t.y * ${S} + p.origin;
