// What one enqueue does, made ready once for each shape: afterwards only pointers change.
//
// Preparing loads, checks and packs. An enqueue patches pointers and calls the driver: it allocates,
// compiles and synchronises nothing, so that a CUDA graph can capture it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "driver.h"
#include "modules.h"
#include "program.h"

namespace pluginkit {

// The steps of one enqueue for one set of shapes on one device. It is not thread-safe: the argument
// memory is shared by its calls.
class Prepared {
public:
    // Asks the program for its steps. `context` has concrete shapes, outputs and workspace; its
    // device is filled in. Refuses PK303 to PK305, PK311, PK321, PK323, PK331.
    Prepared(const Program& program, Context context);
    Prepared(const Prepared&) = delete;
    Prepared& operator=(const Prepared&) = delete;

    // Puts the work on the stream. Pointers are in TensorRT's order: of the inputs that the node has
    // and kernels see. Refuses PK330 what the driver does.
    void enqueue(const void* const* inputs, void* const* outputs, void* workspace,
                 CUstream stream);

private:
    friend class StepRecorder;

    enum class Kind : std::uint8_t { kLaunch, kCopy, kFill };

    // A pointer plus an offset: where a step finds its memory.
    struct Place {
        std::uint32_t pointer;  // index in the table of pointers
        std::uint64_t offset;
    };

    // A call of the driver.
    struct Step {
        Kind kind = Kind::kLaunch;
        CUfunction function = nullptr;
        unsigned grid[3] = {1, 1, 1};
        unsigned block[3] = {1, 1, 1};
        unsigned shared_bytes = 0;
        std::size_t first_parameter = 0;  // index in mParameters
        Place target = {0, 0};
        Place source = {0, 0};
        std::size_t bytes = 0;
        unsigned char byte = 0;
        std::string description;  // for messages
    };

    // A word of mWords that holds a pointer plus an offset.
    struct Shifted {
        std::size_t word;
        Place place;
    };

    std::uint64_t address(const Place& place) const { return mWords[place.pointer] + place.offset; }
    CUresult run(const Step& step, CUstream stream);
    [[noreturn]] void refuse(const Step& step, CUresult status) const;

    const Program& mProgram;
    const Driver& mDriver;
    CurrentDevice mDevice;
    std::size_t mInputCount = 0;
    std::size_t mOutputCount = 0;
    std::vector<Step> mSteps;
    std::vector<LoadedKernel> mKernels;  // keep the modules loaded
    // The pointers of an enqueue (inputs, outputs, workspace), then the values of all parameters. A
    // parameter that is a whole buffer lies in the pointers: one write brings all launches up to
    // date.
    std::vector<std::uint64_t> mWords;
    std::vector<Shifted> mShifted;
    std::vector<void*> mParameters;  // addresses into mWords, as cuLaunchKernel takes them
};

}  // namespace pluginkit
