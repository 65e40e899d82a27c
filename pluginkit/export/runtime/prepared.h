// The steps of an enqueue, prepared once for each set of shapes.
//
// Preparation loads kernels, checks launches and packs arguments. An enqueue then only writes
// pointers and calls the driver. It does not allocate, compile or synchronise, so that a CUDA graph
// can capture it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "driver.h"
#include "modules.h"
#include "program.h"

namespace pluginkit {

// The steps of one enqueue for one set of shapes on one device. It is not thread-safe: all calls
// write to the same argument memory.
class Prepared {
public:
    // Prepares the program's steps. `context` has concrete shapes, outputs and workspace; the
    // device is added to it. Refuses PK303 to PK305, PK311, PK321, PK323 and PK331.
    Prepared(const Program& program, Context context);
    Prepared(const Prepared&) = delete;
    Prepared& operator=(const Prepared&) = delete;

    // Enqueues the steps on the stream. Pointers are in TensorRT's order, with the inputs that the
    // node has in device memory. Refuses (PK330) if the driver reports an error.
    void enqueue(const void* const* inputs, void* const* outputs, void* workspace,
                 CUstream stream);

private:
    friend class StepRecorder;

    enum class Kind : std::uint8_t { kLaunch, kCopy, kFill };

    // The address of a step's memory: a buffer's pointer plus an offset.
    struct BufferAddress {
        std::uint32_t pointer;  // the index of the pointer in mWords
        std::uint64_t offset;
    };

    // A call of the driver.
    struct Step {
        Kind kind = Kind::kLaunch;
        CUfunction function = nullptr;
        unsigned grid[3] = {1, 1, 1};
        unsigned block[3] = {1, 1, 1};
        unsigned shared_bytes = 0;
        bool overlaps = false;
        std::size_t first_parameter = 0;  // index in mParameters
        BufferAddress target = {0, 0};
        BufferAddress source = {0, 0};
        std::size_t bytes = 0;
        unsigned char byte = 0;
        std::string description;  // for messages
    };

    // A word of mWords to which each enqueue writes a pointer plus an offset.
    struct PointerWord {
        std::size_t word;
        BufferAddress place;
    };

    std::uint64_t address(const BufferAddress& place) const {
        return mWords[place.pointer] + place.offset;
    }
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
    // parameter that points to the start of a buffer uses the word of that pointer, so that one
    // write updates all launches.
    std::vector<std::uint64_t> mWords;
    std::vector<PointerWord> mPointerWords;
    std::vector<void*> mParameters;  // addresses into mWords, as cuLaunchKernel takes them
};

}  // namespace pluginkit
