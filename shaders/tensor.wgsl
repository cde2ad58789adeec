// A tensor is a texture array: texel (x, y) of layer l holds channels 4 l .. 4 l + 3 at column x - PAD, row y - PAD.
// The border of PAD texels is zero for ever (nothing writes it), so convolutions need no bounds checks; channels
// beyond the last are zero too.
#define PAD 2

fn load(t: texture_2d_array<f32>, x: i32, y: i32, layer: i32) -> vec4f {
  return textureLoad(t, vec2i(x + ${PAD}, y + ${PAD}), layer, 0);
}

fn store(t: texture_storage_2d_array<rgba32float, write>, x: i32, y: i32, layer: i32, value: vec4f) {
  textureStore(t, vec2i(x + ${PAD}, y + ${PAD}), layer, value);
}
