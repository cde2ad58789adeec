// Calls run(at), which the including file has, for each of p.width x p.height positions and each layer of the grid.
@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let at = vec3i(id);
  if (at.x >= p.width || at.y >= p.height) { return; }
  run(at);
}
