enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
// Convolution by a GPU's matrix units, whose factors are half floats and whose sums are floats. A workgroup makes 16 x ROWS
// positions x COLUMNS outputs, 16 inputs at a time: it keeps those of all its taps in its memory, where every tap is a
// matrix of positions x inputs that begins elsewhere. Weights are half floats as they are; a source of floats is the sum of
// two terms, each a half float, so that its products are as exact as those of floats. DEFORM = 1: the inputs are the samples
// of a deformable convolution, tap after tap, made on the way into the workgroup's memory.
#include "conv_place.wgsl"
#define K 3 // kernel
#define S 1 // stride
#define M 16 // rows of a left matrix and of a result: positions
#define N 16 // columns of a right matrix and of a result: outputs
#define D 16 // columns of a left matrix, rows of a right one: inputs
#define ROWS 8 // of positions, a quarter of them for each of the workgroup's four subgroups
#define COLUMNS 64
#define LANES 32 // of a subgroup
#define TERMS 2 // 1: the source is half floats
#define PARTS 1 // into how many the channels are divided, each convolved by itself
#define RES 0 // 1: a residual is added
#define WIDE 16 * S - S + K
#define HIGH ROWS * S - S + K
#define TEXELS WIDE * HIGH
#define DEFORM 0
@group(0) @binding(0) var source: texture_2d_array<f32>; // input channels / 4
@group(0) @binding(1) var<storage, read> weights: array<f16>; // rounds of COLUMNS outputs x chunks x taps x 16 inputs x COLUMNS
@group(0) @binding(2) var bias: texture_2d_array<f32>; // output blocks x 1
#if DEFORM
@group(0) @binding(3) var offsets: texture_2d_array<f32>; // 27 channels: dy, dx, logit, nine of each
#else
@group(0) @binding(3) var residual: texture_2d_array<f32>; // shape of output; or unused
#end
@group(0) @binding(4) var<uniform> p: Params;
@group(0) @binding(5) var output: texture_storage_2d_array<rgba${32 - 16 * HALF}float, write>;

struct Params {
  width: i32, // of the result before the shuffle
  height: i32,
  blocks: i32, // output blocks of 4 channels
  groups: i32, // input groups of 4 channels
  chunks: i32, // of 16 input channels
  rounds: i32,
  origin: i32, // texel of tap (0, 0) of position (0, 0), both axes
  shuffle: i32,
#if PARTS > 1
  partBlocks: i32, // output blocks of a part; those of a workgroup are all of one
#end
#if DEFORM
  sourceWidth: i32,
  sourceHeight: i32,
  stride: i32,
  firstOffset: i32, // channel where the offsets begin
#end
}

#include "activation.wgsl"

var<workgroup> inputs: array<f16, ${TERMS * TEXELS * 16}>; // terms x positions under the taps x inputs of a chunk
var<workgroup> sums: array<f32, ${4 * M * N}>; // a result of each subgroup

fn finish(sum: vec4f, x: i32, y: i32, block: i32) {
  let at = placeOf(x, y, block);
  var v = activate(sum + textureLoad(bias, vec2i(block, 0), 0, 0));
#if RES
  v += load(residual, at.x, at.y, at.z);
#end
  store(output, at.x, at.y, at.z, v);
}

#if DEFORM
#include "deform_sample.wgsl"
var<workgroup> samples: array<Sample, ${TEXELS}>; // of a tap
#else
// A texel of the source; the last one in place of those beyond, from which nothing comes that is stored.
fn texel(x: i32, y: i32, layer: i32) -> vec4f {
  let size = vec2i(textureDimensions(source)) / vec2i(${SOURCE_FOLDS}, ${BATCH});
  let at = min(vec2i(x, y), size - 1) + vec2i(0, tileStart(textureDimensions(source).y));
#if SOURCE_FOLDS > 1
  return foldedTexel(at.x, at.y, layer);
#else
  return textureLoad(source, at, layer, 0);
#end
}
#end

fn bounded(v: vec4f) -> vec4f {
  return clamp(v, vec4f(-65504.0), vec4f(65504.0));
}

@compute @workgroup_size(${4 * LANES})
fn convMatrix(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) invocation: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  beginTile(workgroup.z, workgroups);
  let number = i32(workgroup.x + workgroup.y * workgroups.x);
  let round = number % p.rounds;
  let across = (p.width + 15) / 16;
  let x = number / p.rounds % across * 16;
  let y = number / p.rounds / across * ${ROWS};
  let block = round * ${COLUMNS / 4};
#if PARTS > 1
  let first = block / p.partBlocks * p.groups;
#else
  let first = 0;
#end
#for r in 0..ROWS / 4
#for m in 0..16 / M
#for n in 0..COLUMNS / N
  var s${r}_${m}_${n}: subgroup_matrix_result<f32, ${N}, ${M}>;
#end
#end
#end
  for (var chunk = 0; chunk < p.chunks; chunk++) {
#if DEFORM
    // A tap has whole chunks. All are past the barrier behind the last reading of the tap before.
    let tapChunks = p.chunks / 9;
    if (chunk % tapChunks == 0) {
      for (var i = i32(invocation); i < ${TEXELS}; i += ${4 * LANES}) {
        let at = min(vec2i(x, y) + vec2i(i % 16, i / 16), vec2i(p.width, p.height) - 1);
        samples[i] = sampleOf(at, chunk / tapChunks, p.firstOffset);
      }
    }
#end
    workgroupBarrier();
    for (var i = i32(invocation); i < ${4 * TEXELS}; i += ${4 * LANES}) {
      let at = i % ${TEXELS};
      let group = 4 * chunk + i / ${TEXELS};
      var v = vec4f();
      if (group < p.groups) {
#if DEFORM
        v = sampled(samples[at], group % (4 * tapChunks));
#else
        v = texel(x * ${S} + p.origin + at % ${WIDE}, y * ${S} + p.origin + at / ${WIDE}, first + group);
#end
      }
      let to = at * 16 + i / ${TEXELS} * 4;
#if TERMS > 1
      // The first term is cut off by its bits: a compiler may take a value for what comes of converting it there and back.
      let high = bitcast<vec4f>(bitcast<vec4u>(bounded(v)) & vec4u(0xffffe000u));
      let low = bounded(v - high);
#else
      let high = v;
#end
#for c in 0..4
      inputs[to + ${c}] = f16(high.${xyzw(c)});
#if TERMS > 1
      inputs[to + ${TEXELS * 16 + c}] = f16(low.${xyzw(c)});
#end
#end
    }
    workgroupBarrier();
    for (var tap = 0; tap < ${K * K}; tap++) {
      let begin = u32(tap / ${K} * ${WIDE} + tap % ${K}) * 16 + subgroup * ${ROWS / 4 * S * WIDE * 16};
      let row = u32((round * p.chunks + chunk) * ${K * K} + tap) * ${16 * COLUMNS};
      for (var d = 0u; d < 16; d += ${D}) {
#for n in 0..COLUMNS / N
        let w${n} = subgroupMatrixLoad<subgroup_matrix_right<f16, ${N}, ${D}>, row_major>(&weights, row + d * ${COLUMNS} + ${n * N}, ${COLUMNS});
#end
#for r in 0..ROWS / 4
#for m in 0..16 / M
#for t in 0..TERMS
        let i${r}_${m}_${t} = subgroupMatrixLoad<subgroup_matrix_left<f16, ${D}, ${M}>, row_major>(&inputs, begin + d + ${((TERMS - 1 - t) * TEXELS + (r * WIDE + m * M) * S) * 16}, ${S * 16});
#for n in 0..COLUMNS / N
        s${r}_${m}_${n} = subgroupMatrixMultiplyAccumulate(i${r}_${m}_${t}, w${n}, s${r}_${m}_${n});
#end
#end
#end
#end
      }
    }
  }
  // Results one matrix after the other. A loop, since unrolling what becomes of them would take some compilers for ever.
  for (var i = 0; i < ${ROWS / 4 * (16 / M) * (COLUMNS / N)}; i++) {
    workgroupBarrier();
#for r in 0..ROWS / 4
#for m in 0..16 / M
#for n in 0..COLUMNS / N
    if (i == ${(r * (16 / M) + m) * (COLUMNS / N) + n}) { subgroupMatrixStore<row_major>(&sums, subgroup * ${M * N}, s${r}_${m}_${n}, ${N}); }
#end
#end
#end
    workgroupBarrier();
    let corner = vec3i(
      x + i / ${COLUMNS / N} % ${16 / M} * ${M},
      y + i32(subgroup) * ${ROWS / 4} + i / ${16 / M * (COLUMNS / N)},
      block + i % ${COLUMNS / N} * ${N / 4},
    );
    for (var j = i32(lane); j < ${M * N / 4}; j += ${LANES}) {
      let to = corner + vec3i(j % ${M}, 0, j / ${M});
      let at = i32(subgroup) * ${M * N} + j % ${M} * ${N} + j / ${M} * 4;
      let sum = vec4f(sums[at], sums[at + 1], sums[at + 2], sums[at + 3]);
      if (to.x < p.width && to.y < p.height && to.z < p.blocks) { finish(sum, to.x, to.y, to.z); }
    }
  }
}
