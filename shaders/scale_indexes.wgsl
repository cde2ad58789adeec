// Indexes of scales, into the host's buffer in coding order. The including file has `thresholds` (those of scales, 4 a
// texel, padded with one out of reach), `indexes`, and in Params `texels` of thresholds and the `last` index.

// The number of thresholds below each scale.
fn indexesOf(scale: vec4f) -> vec4f {
  var index = vec4f(0.0);
  for (var i = 0; i < p.texels; i++) {
    let entries = textureLoad(thresholds, vec2i(i, 0), 0, 0);
#for k in 0..4
    index += select(vec4f(0.0), vec4f(1.0), scale > vec4f(entries.${xyzw(k)}));
#end
  }
  return min(index, vec4f(f32(p.last)));
}

// The indexes of two positions that follow each other in the half: word of the first channel, words from one to the next.
fn storeIndexes(word: i32, area: i32, index0: vec4f, index1: vec4f, isThere: vec4<bool>) {
  let start = tileStart(arrayLength(&indexes)) + word;
#for k in 0..4
  if (isThere.${xyzw(k)}) { indexes[start + ${k} * area] = u32(index0.${xyzw(k)}) | (u32(index1.${xyzw(k)}) << 16u); }
#end
}
