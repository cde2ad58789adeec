// Indexes of scales, into the host's buffer in coding order. The including file has `indexes`, and what
// thresholds.wgsl asks for.
#include "thresholds.wgsl"

// The indexes of two positions that follow each other in the half: word of the first channel, words from one to the next.
fn storeIndexes(word: i32, area: i32, index0: vec4f, index1: vec4f, isThere: vec4<bool>) {
  let start = tileStart(arrayLength(&indexes)) + word;
#for k in 0..4
  if (isThere.${xyzw(k)}) { indexes[start + ${k} * area] = u32(index0.${xyzw(k)}) | (u32(index1.${xyzw(k)}) << 16u); }
#end
}
