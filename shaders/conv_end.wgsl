#if SPLIT > 1
  // Each share of a tile leaves its sums here; then all of them add these up, each for its part of the results.
#for o in 0..TO
#for j in 0..TX * TY
  parts[${(o * TX * TY + j) * GROUP} + lane] = a${o}_${j};
#end
#end
  workgroupBarrier();
  for (var j = share; j < ${TX * TY * TO}; j += ${SPLIT}) {
    let block = t.block + j / ${TX * TY};
    let scalars = scalarsOf(block);
    var sum = scalars.bias;
    for (var s = lane % ${GROUP / SPLIT}; s < ${GROUP}; s += ${GROUP / SPLIT}) { sum += parts[j * ${GROUP} + s]; }
    if (t.exists) { finish(sum, scalars, t.x + j % ${TX}, t.y + j / ${TX} % ${TY}, block); }
  }
#else
  // A loop over rows, since unrolling the epilogue would double the time to compile.
  for (var y = 0; y < ${TY}; y++) {
#for o in 0..TO
#for x in 0..TX
    var v${o}_${x} = a${o}_${x};
#for y in 1..TY
    v${o}_${x} = select(v${o}_${x}, a${o}_${y * TX + x}, y == ${y});
#end
    finish(v${o}_${x}, scalars${o}, t.x + ${x}, t.y + y, t.block + ${o});
#end
#end
  }
#end
