#define GROUP 8 // invocations of a workgroup
// A workgroup makes one result, each of its invocations from its share of the positions. The partial results are
// combined here, by every one of them: few enough reads, and the same for all.
var<workgroup> parts: array<vec4i, ${GROUP}>;

fn largestOfAll(partial: vec4i, lane: i32) -> vec4i {
  workgroupBarrier();
  parts[lane] = partial;
  workgroupBarrier();
  var v = partial;
  for (var i = 0; i < ${GROUP}; i++) { v = max(v, parts[i]); }
  return v;
}

fn sumOfAll(partial: vec4i, lane: i32) -> vec4i {
  workgroupBarrier();
  parts[lane] = partial;
  workgroupBarrier();
  var v = vec4i(0);
  for (var i = 0; i < ${GROUP}; i++) { v += parts[i]; }
  return v;
}
