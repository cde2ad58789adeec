// Calls run(at), which the including file has, for each of p.width x p.height positions and each layer of the grid.
@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) workgroups: vec3u) {
  let at = vec3i(vec2i(id.xy), beginTile(id.z, workgroups));
  if (at.x >= p.width || at.y >= p.height) { return; }
  run(at);
}
