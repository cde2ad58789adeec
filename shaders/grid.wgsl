#define GROUP 8 // invocations of a workgroup

// A dispatch of n invocations in one dimension, folded into rows of workgroups where n is beyond the device's limit.
fn linearIndex(id: vec3u, workgroups: vec3u) -> i32 {
  return i32(id.x + id.y * workgroups.x * ${GROUP}u);
}
