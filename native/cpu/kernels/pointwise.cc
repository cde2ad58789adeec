// Kernels that look at one position of every channel alone.
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/simd.h"

namespace cleric::cpu::CLERIC_ISA {

namespace {

/// `body(output, offset)` for every vector of the item's rows, where input and output have the same layout.
template <typename Body>
CLERIC_INLINE void each_vector(const PointwiseArgs& a, int item, Body&& body) {
  const bool planar = a.output.planar();
  const ptrdiff_t floats = a.output.width * a.output.pixel;
  for (int line = a.rows.first(item); line < a.rows.last(item); line++) {
    const ptrdiff_t plane = planar ? line / a.output.height : 0;
    const ptrdiff_t y = planar ? line % a.output.height : line;
    const auto start = [&](const View& v) { return v.data ? v.data + plane * v.channel + y * v.row : nullptr; };
    const float* input = start(a.input);
    const float* second = a.op == Pointwise::add ? start(a.second) : nullptr;
    float* output = a.output.data + plane * a.output.channel + y * a.output.row;
    // The rows of planar tensors are padded to kLanes, the channels of interleaved ones too.
    for (ptrdiff_t i = 0; i < floats; i += kWidth) body(input + i, second + i, output + i);
  }
}

/// `body(y, x)` for every pixel of the item's rows: the value for channels c .. c + kWidth goes to the output.
template <typename Body>
CLERIC_INLINE void each_pixel(const PointwiseArgs& a, int item, Body&& body) {
  for (int y = a.rows.first(item); y < a.rows.last(item); y++) {
    for (int x = 0; x < a.output.width; x++) {
      float* out = a.output.at(y, x);
      for (ptrdiff_t c = 0; c < a.output.pixel; c += kWidth) store(out + c, body(y, x, c));
    }
  }
}

/// How many entries of the table, the last one aside, are below the scale.
CLERIC_INLINE Floats scale_index(const PointwiseArgs& a, Floats scale) {
  Ints count{};
  for (int i = 0; i + 1 < a.table_size; i++) count -= splat(a.table[i]) < scale;
  return __builtin_convertvector(count, Floats);
}

/// The nearest integer that the coder takes; for NaN, whose comparisons are false, the least.
CLERIC_INLINE Floats to_symbol(Floats v) {
  return smaller(larger(nearest(v), splat(-32767.0f)), splat(32767.0f));
}

/// Entries of the table; an index outside it, which no model makes, means the nearest one.
CLERIC_INLINE Floats looked_up(const PointwiseArgs& a, Floats index) {
  const Floats last = splat(static_cast<float>(a.table_size - 1));
  const Ints at = __builtin_convertvector(smaller(larger(index, splat(0.0f)), last), Ints);
  Floats found{};
  for (int i = 0; i < kWidth; i++) found[i] = a.table[at[i]];
  return found;
}

/// v rounded with a dead zone (QuantiseNode); NaN, whose comparisons are false, to 0.
CLERIC_INLINE Floats symbol_past(Floats zone, Floats v) {
  const Floats size = larger(v, -v) + (splat(1.0f) - zone);
  const Ints floor = __builtin_convertvector(smaller(larger(size, splat(0.0f)), splat(32767.0f)), Ints);
  return __builtin_convertvector(v < splat(0.0f) ? -floor : floor, Floats);
}

}  // namespace

void pointwise(const PointwiseArgs& a, int item, float*) {
  const Floats zero = splat(0.0f);
  // The means follow the scales, at a channel that need not be a multiple of a register.
  const ptrdiff_t mean = a.output.channels;
  switch (a.op) {
    case Pointwise::scale: {
      const Floats factor = splat(a.factor);
      each_vector(a, item, [&](const float* in, const float*, float* out) { store(out, factor * load(in)); });
      break;
    }
    case Pointwise::add:
      each_vector(a, item, [](const float* in, const float* more, float* out) { store(out, load(in) + load(more)); });
      break;
    case Pointwise::round:
      each_vector(a, item, [](const float* in, const float*, float* out) { store(out, to_symbol(load(in))); });
      break;
    case Pointwise::gain:
      each_pixel(a, item,
                 [&](int y, int x, ptrdiff_t c) { return load(a.input.at(y, x) + c) * load(a.second.data + c); });
      break;
    case Pointwise::scale_index:
      each_pixel(a, item, [&](int y, int x, ptrdiff_t c) {
        return kept(a.keep, y, x) ? scale_index(a, load(a.input.at(y, x) + c)) : zero;
      });
      break;
    case Pointwise::quantise:
      each_pixel(a, item, [&](int y, int x, ptrdiff_t c) {
        if (!kept(a.keep, y, x)) return zero;
        const Floats means = splat(1.0f / kLatentSteps) * load(a.second.at(y, x) + mean + c);
        const Floats zones = looked_up(a, load(a.third.at(y, x) + c));
        return symbol_past(zones, load(a.input.at(y, x) + a.first + c) - means);
      });
      break;
    case Pointwise::dequantise:
      each_pixel(a, item, [&](int y, int x, ptrdiff_t c) {
        if (kept(a.keep, y, x)) {
          return splat(kLatentSteps) * load(a.input.at(y, x) + c) + load(a.second.at(y, x) + mean + c);
        }
        return a.third.data ? load(a.third.at(y, x) + c) : zero;
      });
      break;
  }
}

}  // namespace cleric::cpu::CLERIC_ISA
