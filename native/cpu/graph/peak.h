// How fast a processor multiplies and adds where nothing else is in the way.
#pragma once

#include "cpu/graph/device.h"

namespace cleric::cpu {

/// Operations a second, two a multiply-add, on all threads; measured over some 20 milliseconds. Called from the
/// device's queue.
double measure_peak(Device& device);

}  // namespace cleric::cpu
