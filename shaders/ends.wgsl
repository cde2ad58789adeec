// The weight of a position of a lifting pass: `first` at its first one, `last` at its last one, both where that is the
// same, else 1. Params says how long the pass is: width, height, columns.
fn endWeight(at: vec2i, first: f32, last: f32) -> f32 {
  let i = select(at.y, at.x, p.columns == 1);
  let length = select(p.height, p.width, p.columns == 1);
  return select(1.0, first, i == 0) * select(1.0, last, i == length - 1);
}
