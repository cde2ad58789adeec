  // The tile, where its input begins, and which of the SPLIT shares of the input groups is this invocation's.
  beginTile(id.z, workgroups);
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
  let py = t.y * ${S} + p.origin + tileStart(textureDimensions(source).y);
  // The sums. Where invocations share them, the bias comes last.
#for o in 0..TO
#if SPLIT == 1
  let scalars${o} = scalarsOf(t.block + ${o});
#end
#for j in 0..TX * TY
#if SPLIT == 1
  var a${o}_${j} = scalars${o}.bias;
#else
  var a${o}_${j} = Sum();
#end
#end
#end
