// A tensor is a texture array: texel (x, y) of layer l holds channels 4 l .. 4 l + 3 at column x - PAD, row y - PAD.
// The border of PAD texels is zero for ever (nothing writes it), so convolutions need no bounds checks; channels
// beyond the last are zero too.
// A tensor of more layers than a texture may have is folded: the texture has several such arrays side by side, first the
// layers 0 to n - 1 of its n, then n to 2 n - 1 ... Only `store` and conv_tile.wgsl know of it.
// The tensors of a batch of tiles lie below each other, each with a border of its own.
#define PAD 2
#define OUTPUT_FOLDS 1
#define BATCH 1 // tiles of a batch
#define HALF 0 // 1: what is stored is half floats

#if BATCH > 1
var<private> tile: i32; // which of the batch

// Called first by every entry point: the third dimension of a dispatch counts tiles, and in each of them layers. Gives
// the layer.
fn beginTile(z: u32, workgroups: vec3u) -> i32 {
  let layers = i32(workgroups.z) / ${BATCH};
  tile = i32(z) / layers;
  return i32(z) % layers;
}

// Where a tile begins in what has `size` rows, or words, for all of the batch.
fn tileStart(size: u32) -> i32 {
  return tile * (i32(size) / ${BATCH});
}
#else
fn beginTile(z: u32, workgroups: vec3u) -> i32 {
  return i32(z);
}

fn tileStart(size: u32) -> i32 {
  return 0;
}
#end

fn load(t: texture_2d_array<f32>, x: i32, y: i32, layer: i32) -> vec4f {
  return textureLoad(t, vec2i(x + ${PAD}, y + ${PAD} + tileStart(textureDimensions(t).y)), layer, 0);
}

fn loadAt(t: texture_2d_array<f32>, at: vec3i) -> vec4f {
  return load(t, at.x, at.y, at.z);
}

#if HALF
// The nearest half float. The device's own conversion may cut off instead, which makes everything a little smaller, layer
// by layer, and costs rate.
fn nearestHalf(v: vec4f) -> vec4f {
  let bits = bitcast<vec4u>(clamp(v, vec4f(-65504.0), vec4f(65504.0)));
  return bitcast<vec4f>((bits + 0xfffu + ((bits >> vec4u(13u)) & vec4u(1u))) & vec4u(0xffffe000u));
}
#end

fn store(t: texture_storage_2d_array<rgba${32 - 16 * HALF}float, write>, x: i32, y: i32, layer: i32, v: vec4f) {
#if HALF
  let value = nearestHalf(v);
#else
  let value = v;
#end
  let row = y + ${PAD} + tileStart(textureDimensions(t).y);
#if OUTPUT_FOLDS > 1
  let layers = i32(textureNumLayers(t));
  let foldX = layer / layers * (i32(textureDimensions(t).x) / ${OUTPUT_FOLDS});
  textureStore(t, vec2i(x + foldX + ${PAD}, row), layer % layers, value);
#else
  textureStore(t, vec2i(x + ${PAD}, row), layer, value);
#end
}

// Where a tile that reaches over the edge stores what lies outside: beyond the border, where nothing that counts is
// read. An `if` around each of a tile's stores would make some compilers take for ever.
fn parked(at: vec2i, size: vec2i) -> vec2i {
  return select(at, size + ${PAD}, at >= size);
}
