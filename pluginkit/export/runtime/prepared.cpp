#include "prepared.h"

#include <cstring>
#include <limits>

#include "attributes.h"

namespace pluginkit {

namespace {

constexpr std::size_t kWord = sizeof(std::uint64_t);
// CUDA's limits, which hold for every GPU from compute capability 3.0 on.
constexpr std::int64_t kGridLimits[] = {std::numeric_limits<std::int32_t>::max(), 65535, 65535};
constexpr std::int64_t kBlockLimits[] = {1024, 1024, 64};
constexpr std::int64_t kBlockThreads = 1024;
// What a block may have on the GPUs that allow most, of compute capability 9.0 and 10.0.
constexpr std::int64_t kSharedLimit = 227 * 1024;
// Code for a GPU of this compute capability or a later one can wait for the launches before it.
constexpr std::int32_t kOverlapping = 90;

// A grid or block as the author wrote it in launches(): 5 or (5, 1).
std::string written(const Extent& extent) {
    return extent.size() == 1 ? text(extent[0]) : tuple_text(extent);
}

bool is_within(const Extent& extent, std::int64_t lowest, const std::int64_t (&limits)[3]) {
    if (extent.empty() || extent.size() > 3) {
        return false;
    }
    for (std::size_t i = 0; i < extent.size(); ++i) {
        if (extent[i] < lowest || extent[i] > limits[i]) {
            return false;
        }
    }
    return true;
}

}  // namespace

// Records the steps of the generated code, checks them as pluginkit.kernels.enqueue_steps does, and
// leaves out those without work.
class StepRecorder : public Recorder {
public:
    StepRecorder(Prepared& prepared, const Context& context)
        : mPrepared(prepared), mProgram(prepared.mProgram), mContext(context) {
        for (const Tensor& input : context.inputs) {
            const bool is_seen = input.is_present && input.values.empty();
            mInputs.push_back(is_seen ? static_cast<std::int32_t>(prepared.mInputCount++) : -1);
        }
        prepared.mOutputCount = context.outputs.size();
        prepared.mWords.resize(prepared.mInputCount + prepared.mOutputCount + 1);
    }

    void launch(std::int32_t kernel, const Extent& grid, const Extent& block,
                const Dim& shared_bytes, const Arguments& arguments) override {
        const Kernel& launched = mProgram.kernels[kernel];
        check_launch(launched, grid, block, shared_bytes);
        for (const Arguments::Parameter& parameter : arguments.parameters()) {
            if (parameter.is_pointer) {
                check_view(parameter.view);
            }
        }
        if (product(grid) == 0) {
            return;
        }
        if (!arguments.refusal().empty()) {
            throw Refusal(arguments.refusal());
        }
        Prepared::Step step;
        for (std::size_t i = 0; i < grid.size(); ++i) {
            step.grid[i] = static_cast<unsigned>(grid[i].value());
        }
        for (std::size_t i = 0; i < block.size(); ++i) {
            step.block[i] = static_cast<unsigned>(block[i].value());
        }
        step.shared_bytes = static_cast<unsigned>(shared_bytes.value());
        step.description = std::string("launch of '") + launched.name + "', grid " +
                           written(grid) + ", block " + written(block);
        const LoadedKernel loaded = load_kernel(mProgram, kernel, mPrepared.mDevice);
        allow_shared_bytes(loaded, launched.expression, shared_bytes.value());
        step.function = loaded.function;
        step.overlaps = launched.overlaps && !mPrepared.mSteps.empty() &&
                        mPrepared.mSteps.back().kind == Prepared::Kind::kLaunch &&
                        loaded.compute_capability >= kOverlapping;
        mPrepared.mKernels.push_back(loaded);
        step.first_parameter = mOffsets.size();
        for (const Arguments::Parameter& parameter : arguments.parameters()) {
            mOffsets.push_back(parameter.is_pointer ? add_pointer(parameter.view)
                                                    : add_bytes(parameter.bytes));
        }
        mPrepared.mSteps.push_back(std::move(step));
    }

    void copy(const View& target, const View& source) override {
        const bool fits = target.buffer == View::Buffer::kWorkspace
                              ? target.nbytes >= source.nbytes
                              : target.nbytes == source.nbytes;
        if (!fits) {
            throw Refusal("PK305 " + owner() + ": Copy of " + text(source.nbytes) + " bytes to " +
                          text(target.nbytes) + " bytes; expected one size.");
        }
        check_view(source);
        check_view(target);
        Prepared::Step step;
        step.kind = Prepared::Kind::kCopy;
        step.target = place(target);
        step.source = place(source);
        step.bytes = static_cast<std::size_t>(source.nbytes.value());
        step.description = "Copy";
        add_memory_step(std::move(step));
    }

    void fill(const View& target, const Dim& byte) override {
        if (byte < 0 || byte > 255) {
            throw Refusal("PK305 " + owner() + ": Fill with " + text(byte) +
                          "; expected a byte, 0 to 255.");
        }
        check_view(target);
        Prepared::Step step;
        step.kind = Prepared::Kind::kFill;
        step.target = place(target);
        step.bytes = static_cast<std::size_t>(target.nbytes.value());
        step.byte = static_cast<unsigned char>(byte.value());
        step.description = "Fill";
        add_memory_step(std::move(step));
    }

    // To be called once all steps are recorded, when mWords no longer grows.
    void finish() {
        auto* base = reinterpret_cast<unsigned char*>(mPrepared.mWords.data());
        for (const std::size_t offset : mOffsets) {
            mPrepared.mParameters.push_back(base + offset);
        }
    }

private:
    std::string owner() const { return mProgram.owner; }

    void check_launch(const Kernel& kernel, const Extent& grid, const Extent& block,
                      const Dim& shared_bytes) const {
        const std::string name = "PK304 " + owner() + ": launch of '" + kernel.name + "'";
        if (!is_within(grid, 0, kGridLimits)) {
            throw Refusal(message(name + " has grid " + written(grid) +
                                      "; expected up to 3 ints, 0 to (2147483647, 65535, 65535).",
                                  "", "",
                                  "put the largest dimension first, or let each block do more."));
        }
        if (!is_within(block, 1, kBlockLimits) || product(block) > kBlockThreads) {
            throw Refusal(name + " has block " + written(block) +
                          "; expected up to 3 ints, 1 to (1024, 1024, 64), 1024 threads in all.");
        }
        if (shared_bytes < 0 || shared_bytes > kSharedLimit) {
            throw Refusal(
                message(name + " has shared_bytes=" + text(shared_bytes) +
                            "; expected an int, 0 to " + std::to_string(kSharedLimit) + ".",
                        "", "",
                        "keep less of a row in shared memory, or refuse such sizes in check()."));
        }
    }

    const Tensor& tensor(const View& view) const {
        return (view.buffer == View::Buffer::kInput ? mContext.inputs : mContext.outputs)
            .at(static_cast<std::size_t>(view.index));
    }

    void check_view(const View& view) const {
        const bool is_workspace = view.buffer == View::Buffer::kWorkspace;
        if (view.buffer == View::Buffer::kInput &&
            mInputs.at(static_cast<std::size_t>(view.index)) < 0) {
            throw Refusal("PK303 " + owner() + ": argument '" + tensor(view).name +
                          "' is not on the device.");
        }
        const Dim size = is_workspace ? Dim(mContext.workspace_bytes) : tensor(view).nbytes();
        if (view.offset < 0 || view.nbytes < 0 || view.nbytes > size - view.offset) {
            const std::string what = is_workspace ? "the workspace" : text(tensor(view));
            throw Refusal(
                message("PK303 " + owner() + ": argument " + what + " takes " +
                            text(view.nbytes) + " bytes; its buffer has " +
                            text(size - view.offset) + ".",
                        "", "",
                        "a description changed in launches() must stay inside the tensor it is "
                        "from."));
        }
    }

    Prepared::BufferAddress place(const View& view) const {
        std::size_t pointer = mPrepared.mInputCount + mPrepared.mOutputCount;
        if (view.buffer == View::Buffer::kInput) {
            pointer = static_cast<std::size_t>(mInputs[static_cast<std::size_t>(view.index)]);
        } else if (view.buffer == View::Buffer::kOutput) {
            pointer = mPrepared.mInputCount + static_cast<std::size_t>(view.index);
        }
        return {static_cast<std::uint32_t>(pointer),
                static_cast<std::uint64_t>(view.offset.value())};
    }

    std::size_t add_pointer(const View& view) {
        const Prepared::BufferAddress where = place(view);
        if (where.offset == 0) {
            return where.pointer * kWord;
        }
        mPrepared.mPointerWords.push_back({mPrepared.mWords.size(), where});
        mPrepared.mWords.push_back(0);
        return (mPrepared.mWords.size() - 1) * kWord;
    }

    std::size_t add_bytes(const std::string& bytes) {
        const std::size_t first = mPrepared.mWords.size();
        mPrepared.mWords.resize(first + (bytes.size() + kWord - 1) / kWord);
        std::memcpy(mPrepared.mWords.data() + first, bytes.data(), bytes.size());
        return first * kWord;
    }

    void add_memory_step(Prepared::Step step) {
        if (step.bytes > 0) {
            mPrepared.mSteps.push_back(std::move(step));
        }
    }

    Prepared& mPrepared;
    const Program& mProgram;
    const Context& mContext;
    std::vector<std::int32_t> mInputs;  // declared input -> index of its pointer, -1 without one
    std::vector<std::size_t> mOffsets;  // the offset of each parameter in mWords, in bytes
};

Prepared::Prepared(const Program& program, Context context)
    : mProgram(program), mDriver(driver()), mDevice(current_device()) {
    context.device = &mDevice.facts;
    StepRecorder recorder(*this, context);
    program.steps(context, recorder);
    recorder.finish();
}

void Prepared::enqueue(const void* const* inputs, void* const* outputs, void* workspace,
                       CUstream stream) {
    std::uint64_t* word = mWords.data();
    for (std::size_t i = 0; i < mInputCount; ++i) {
        *word++ = reinterpret_cast<std::uint64_t>(inputs[i]);
    }
    for (std::size_t i = 0; i < mOutputCount; ++i) {
        *word++ = reinterpret_cast<std::uint64_t>(outputs[i]);
    }
    *word = reinterpret_cast<std::uint64_t>(workspace);
    for (const PointerWord& one : mPointerWords) {
        mWords[one.word] = address(one.place);
    }
    for (const Step& step : mSteps) {
        const CUresult status = run(step, stream);
        if (status != CUDA_SUCCESS) {
            refuse(step, status);
        }
    }
}

CUresult Prepared::run(const Step& step, CUstream stream) {
    switch (step.kind) {
        case Kind::kLaunch:
            if (step.overlaps) {
                const CUlaunchConfig config = {
                    {step.grid[0], step.grid[1], step.grid[2]},
                    {step.block[0], step.block[1], step.block[2]},
                    step.shared_bytes, stream, &kMayOverlap, 1};
                return mDriver.cuLaunchKernelEx(
                    &config, step.function, mParameters.data() + step.first_parameter, nullptr);
            }
            return mDriver.cuLaunchKernel(step.function, step.grid[0], step.grid[1], step.grid[2],
                                          step.block[0], step.block[1], step.block[2],
                                          step.shared_bytes, stream,
                                          mParameters.data() + step.first_parameter, nullptr);
        case Kind::kCopy:
            return mDriver.cuMemcpyDtoDAsync(address(step.target), address(step.source),
                                             step.bytes, stream);
        case Kind::kFill:
            return mDriver.cuMemsetD8Async(address(step.target), step.byte, step.bytes, stream);
    }
    return CUDA_SUCCESS;
}

void Prepared::refuse(const Step& step, CUresult status) const {
    const auto number = &step - mSteps.data() + 1;
    throw Refusal(message("PK330 " + std::string(mProgram.owner) + ": step " +
                              std::to_string(number) + " of " + std::to_string(mSteps.size()) +
                              ", " + step.description + ": " + cuda_error(status) + ".",
                          "",
                          "an error of earlier work on the device can show here too; or another "
                          "device is current than when this enqueue was prepared.",
                          ""));
}

}  // namespace pluginkit
