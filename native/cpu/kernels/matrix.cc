// Convolutions and GDN: matrix products whose rows are read where they lie.
#include "cpu/kernels/gemm.h"

namespace cleric::cpu::CLERIC_ISA {

void matrix(const MatrixArgs& m, int item, float* scratch) {
  // Neighbouring items share a block of panels, whose weights then stay in the cache.
  const int block = item / m.rows.items();
  const int rows = item % m.rows.items();
  const int first = block * m.panels_per_item;
  const int last = first + m.panels_per_item < m.panel_count ? first + m.panels_per_item : m.panel_count;
  for (int y = m.rows.first(rows); y < m.rows.last(rows); y++) {
    for (int p = first; p < last; p++) panel_pixels(m, m.runs, m.run_count, m.panels[p], y, 0, m.width, 0, scratch);
  }
}

void gdn(const GdnArgs& args, int item, float* scratch) {
  const MatrixArgs& m = args.matrix;
  const ptrdiff_t floats = m.width * args.input.pixel;
  for (int y = m.rows.first(item); y < m.rows.last(item); y++) {
    const float* row = args.input.at(y, 0);
    for (ptrdiff_t i = 0; i < floats; i += kWidth) {
      const Floats v = load(row + i);
      store(scratch + i, v * v);
    }
    const Run run{scratch, 0, args.input.pixel, args.input.channels};
    for (int p = 0; p < m.panel_count; p++) panel_pixels(m, &run, 1, m.panels[p], y, 0, m.width, 0, scratch + floats);
  }
}

}  // namespace cleric::cpu::CLERIC_ISA
