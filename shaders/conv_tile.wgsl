// The tile of an invocation of a convolution: TX x TY positions from (x, y) on, TO blocks of 4 channels from `block` on.
struct Tile {
  x: i32,
  y: i32,
  block: i32,
  exists: bool,
}

// Runs of neighbouring tiles, and for each run all blocks: the run's input stays in the cache.
fn tileOf(i: i32) -> Tile {
  let tilesX = (p.width + ${TX - 1}) / ${TX};
  let tiles = tilesX * ((p.height + ${TY - 1}) / ${TY});
  let rounds = (p.blocks + ${TO - 1}) / ${TO};
  let within = i % (p.run * rounds);
  let tile = i / (p.run * rounds) * p.run + within % p.run;
  return Tile(tile % tilesX * ${TX}, tile / tilesX * ${TY}, within / p.run * ${TO}, tile < tiles);
}

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
