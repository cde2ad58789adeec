// A tensor is a texture array: texel (x, y) of layer l holds channels 4 l .. 4 l + 3 at column x - PAD, row y - PAD.
// The border of PAD texels is zero for ever (nothing writes it), so convolutions need no bounds checks; channels
// beyond the last are zero too.
#define PAD 2

fn load(t: texture_2d_array<f32>, x: i32, y: i32, layer: i32) -> vec4f {
  return textureLoad(t, vec2i(x + ${PAD}, y + ${PAD}), layer, 0);
}

fn loadAt(t: texture_2d_array<f32>, at: vec3i) -> vec4f {
  return load(t, at.x, at.y, at.z);
}

fn store(t: texture_storage_2d_array<rgba32float, write>, x: i32, y: i32, layer: i32, value: vec4f) {
  textureStore(t, vec2i(x + ${PAD}, y + ${PAD}), layer, value);
}

// Where a tile that reaches over the edge stores what lies outside: beyond the border, where nothing that counts is
// read. An `if` around each of a tile's stores would make some compilers take for ever.
fn parked(at: vec2i, size: vec2i) -> vec2i {
  return select(at, size + ${PAD}, at >= size);
}
