// This instruction set's kernels, as a table.
#include "gemm.h"
#include "integers.h"

namespace cleric::cpu::CLERIC_ISA {

void matrix(const MatrixArgs&, int, float*);
void deform(const DeformArgs&, int, float*);
void gdn(const GdnArgs&, int, float*);
void lift(const LiftArgs&, int, float*);
void pointwise(const PointwiseArgs&, int, float*);
void integer_conv(const IntegerConvArgs&, int, float*);
void integer_depthwise(const IntegerDepthwiseArgs&, int, float*);
void requantise(const RequantiseArgs&, int, float*);
void integer_layer_norm(const IntegerLayerNormArgs&, int, float*);
void window_attention(const WindowAttentionArgs&, int, float*);
void linear_attention(const LinearAttentionArgs&, int, float*);

#define CLERIC_STRING_OF(name) #name
#define CLERIC_STRING(name) CLERIC_STRING_OF(name)

extern const KernelTable table;
const KernelTable table = {
    CLERIC_STRING(CLERIC_ISA),
    kWidth,
    kPanelRegisters,
    kInterleavedPairs,
    matrix,
    deform,
    gdn,
    lift,
    pointwise,
    integer_conv,
    integer_depthwise,
    requantise,
    integer_layer_norm,
    window_attention,
    linear_attention,
};

}  // namespace cleric::cpu::CLERIC_ISA
