#define BUFFER 0 // 1: weights come from a storage buffer
#define HALF_WEIGHTS 0 // 1: as half floats
#if HALF_WEIGHTS
@group(0) @binding(1) var<storage, read> weights: array<vec2u>; // as below, four half floats an element
#else
#if BUFFER
@group(0) @binding(1) var<storage, read> weights: array<vec4f>; // as the texture, one row after the other
#else
@group(0) @binding(1) var weights: texture_2d_array<f32>; // (K K x 4 inputs) x input groups x output blocks, texel = 4 outputs
#end
#end
