// Indexes of scales. The including file has `thresholds` (those between the scales, 4 a texel, padded with one out of
// reach), and in Params `texels` of thresholds and the `last` index.

// The number of thresholds below each scale, at most `last`.
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
