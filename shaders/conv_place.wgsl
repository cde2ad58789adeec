#include "tensor.wgsl"
// Where a convolution finds what it reads in a folded source, and where it stores its results. The including file has
// Params.
#define SOURCE_FOLDS 1 // columns in which the layers of the source lie, see tensor.wgsl

// Where a result is stored: shuffled, and what lies outside the image or the channels parked beyond the border.
fn placeOf(x: i32, y: i32, block: i32) -> vec3i {
  var at = vec3i(x, y, block);
  var size = vec2i(p.width, p.height);
  if (p.shuffle == 2) {
    at = vec3i(2 * x + (block & 1), 2 * y + ((block >> 1) & 1), block >> 2);
    size *= 2;
  }
  if (block >= p.blocks) { at = vec3i(size, 0); }
  return vec3i(parked(at.xy, size), at.z);
}

#if SOURCE_FOLDS > 1
fn foldedTexel(x: i32, y: i32, group: i32) -> vec4f {
  let layers = i32(textureNumLayers(source));
  let foldX = group / layers * (i32(textureDimensions(source).x) / ${SOURCE_FOLDS});
  return textureLoad(source, vec2i(x + foldX, y), group % layers, 0);
}
#end
