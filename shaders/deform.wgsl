// DCNv2 in one dispatch: a workgroup keeps the samples of a tap of 8 x 4 positions in its memory, CHUNK groups of channels at
// a time, and multiplies them by the weights of up to 16 x TO blocks of outputs, so that samples, nine times the source, are
// never in the device's. An invocation makes a column of 4 positions x TO blocks.
#include "conv_place.wgsl"
@group(0) @binding(0) var source: texture_2d_array<f32>; // channels / 4
#include "conv_weights.wgsl" // binding 1: weights; from groups of tap 0, tap 1 ...
@group(0) @binding(2) var bias: texture_2d_array<f32>; // output blocks x 1
@group(0) @binding(3) var offsets: texture_2d_array<f32>; // 27 channels: dy, dx, logit, nine of each
@group(0) @binding(4) var<uniform> p: Params;
@group(0) @binding(5) var output: texture_storage_2d_array<rgba${32 - 16 * HALF}float, write>;

struct Params {
  width: i32, // of the result before the shuffle
  height: i32,
  blocks: i32, // output blocks of 4 channels
  rounds: i32, // of blocks, a workgroup's each
  shuffle: i32,
  sourceWidth: i32,
  sourceHeight: i32,
  groups: i32, // groups of 4 channels of the source
  stride: i32,
  firstOffset: i32, // channel where the offsets begin
}

#define TO 3
#define CHUNK 8
#include "activation.wgsl"
#include "deform_sample.wgsl"

var<workgroup> samples: array<Sample, 32>; // of a tap, a row of 8 positions after the other
var<workgroup> inputs: array<vec4f, ${32 * CHUNK}>; // what is there, group after group

// The weights from input channel k of a group of a tap to the four outputs of a block.
fn weight(k: i32, tap: i32, group: i32, block: i32) -> vec4f {
  let i = ((block * 9 + tap) * p.groups + group) * 4 + k;
#if HALF_WEIGHTS
  return vec4f(unpack2x16float(weights[i].x), unpack2x16float(weights[i].y));
#else
  return weights[i];
#end
}

@compute @workgroup_size(128)
fn deform(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) invocation: u32,
) {
  beginTile(workgroup.z, workgroups);
  let lane = i32(invocation);
  let number = i32(workgroup.x + workgroup.y * workgroups.x);
  let across = (p.width + 7) / 8;
  let corner = number / p.rounds % across * vec2i(8, 0) + number / p.rounds / across * vec2i(0, 4);
  // Neighbouring invocations of a column make neighbouring blocks, which a shuffle puts beside each other.
  let first = number % p.rounds * ${16 * TO} + lane / 8;
#for o in 0..TO
  let block${o} = min(first + ${16 * o}, p.blocks - 1);
#for j in 0..4
  var a${o}_${j} = textureLoad(bias, vec2i(block${o}, 0), 0, 0);
#end
#end
  for (var tap = 0; tap < 9; tap++) {
    // All are past the barrier behind the last reading of the tap before.
    if (lane < 32) {
      let at = min(corner + vec2i(lane % 8, lane / 8), vec2i(p.width, p.height) - 1);
      samples[lane] = sampleOf(at, tap, p.firstOffset);
    }
    for (var begin = 0; begin < p.groups; begin += ${CHUNK}) {
      let groups = min(${CHUNK}, p.groups - begin);
      workgroupBarrier();
      for (var i = lane; i < 32 * groups; i += 128) { inputs[i] = sampled(samples[i % 32], begin + i / 32); }
      workgroupBarrier();
      for (var c = 0; c < groups; c++) {
#for j in 0..4
        let i${j} = inputs[32 * c + ${8 * j} + lane % 8];
#end
#for o in 0..TO
#for k in 0..4
        let w${o}_${k} = weight(${k}, tap, begin + c, block${o});
#end
#for k in 0..4
#for j in 0..4
        a${o}_${j} = fma(vec4f(i${j}.${xyzw(k)}), w${o}_${k}, a${o}_${j});
#end
#end
#end
      }
    }
  }
  // A loop over rows, since unrolling the epilogue would double the time to compile.
  for (var y = 0; y < 4; y++) {
#for o in 0..TO
    var v${o} = a${o}_0;
#for j in 1..4
    v${o} = select(v${o}, a${o}_${j}, y == ${j});
#end
    let at${o} = placeOf(corner.x + lane % 8, corner.y + y, first + ${16 * o});
    store(output, at${o}.x, at${o}.y, at${o}.z, activate(v${o}));
#end
  }
}
