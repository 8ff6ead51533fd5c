// The library that a program loads for LRFINDER_TEST_DEVICE=simulated.

#include "pretend_accelerator.hpp"
