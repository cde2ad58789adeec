// How fast a processor multiplies and adds where nothing else is in the way.
#pragma once

#include "cpu/graph/device.h"

namespace cleric::cpu {

/// Operations a second on all threads, counting two for a multiply-add; measured over some 20 milliseconds. To be called
/// from the device's queue only.
double measure_peak(Device& device);

}  // namespace cleric::cpu
