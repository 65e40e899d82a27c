#include "instance.h"

#include <algorithm>
#include <limits>
#include <type_traits>

#include "log.h"

namespace pluginkit {

namespace {

using nvinfer1::DataType;

// For how many sets of shapes an instance keeps the launches. A program that alternates between a
// few, such as batches of several lengths, then prepares each only once.
constexpr std::size_t kKeptShapes = 16;

// The largest size that TensorRT says of a dimension of which it knows no bound.
constexpr std::int64_t kUnbounded =
    std::numeric_limits<std::remove_extent_t<decltype(nvinfer1::Dims::d)>>::max();

struct TypePair {
    DataType tensorrt;
    Type type;
};

constexpr TypePair kTypePairs[] = {
    {DataType::kFLOAT, Type::kFloat32}, {DataType::kHALF, Type::kFloat16},
    {DataType::kINT8, Type::kInt8},     {DataType::kINT32, Type::kInt32},
    {DataType::kBOOL, Type::kBool},     {DataType::kUINT8, Type::kUInt8},
#if PLUGINKIT_TENSORRT_MAJOR >= 10
    {DataType::kBF16, Type::kBFloat16}, {DataType::kINT64, Type::kInt64},
#endif
};

bool are_concrete(const std::vector<Shape>& shapes) {
    return std::all_of(shapes.begin(), shapes.end(), [](const Shape& shape) {
        return std::all_of(shape.begin(), shape.end(), [](std::int64_t dim) { return dim >= 0; });
    });
}

// Converts between TensorRT's expressions and the generated code's dimensions, for one call.
class ExprAlgebra : public DimAlgebra {
public:
    explicit ExprAlgebra(nvinfer1::IExprBuilder& builder) : mBuilder(builder) {}

    Expr constant(std::int64_t value) override {
        const auto narrowed = static_cast<std::remove_extent_t<decltype(nvinfer1::Dims::d)>>(value);
        if (narrowed != value) {
            throw Refusal("PK121 shape expression exceeds 32 bits, TensorRT 8's dimensions.");
        }
        return checked(mBuilder.constant(narrowed));
    }

    Expr operation(DimOperation operation, Expr a, Expr b) override {
        return checked(mBuilder.operation(static_cast<nvinfer1::DimensionOperation>(operation),
                                          *static_cast<const nvinfer1::IDimensionExpr*>(a),
                                          *static_cast<const nvinfer1::IDimensionExpr*>(b)));
    }

    Dims dims(const nvinfer1::DimsExprs& exprs) {
        if (exprs.nbDims < 0 || exprs.nbDims > nvinfer1::Dims::MAX_DIMS) {
            throw Refusal("PK112 an input has no rank.");
        }
        Dims found;
        for (std::int32_t i = 0; i < exprs.nbDims; ++i) {
            const nvinfer1::IDimensionExpr* expr = exprs.d[i];
            found.push_back(expr->isConstant() ? Dim(std::int64_t{expr->getConstantValue()})
                                               : Dim(*this, expr));
        }
        return found;
    }

    const nvinfer1::IDimensionExpr* expr(const Dim& dim) {
        return static_cast<const nvinfer1::IDimensionExpr*>(dim.expr(*this));
    }

    // The expression of an output's dimension. A size is declared once: TensorRT refuses a second
    // declaration.
    const nvinfer1::IDimensionExpr* expr(const OutputDim& dim) {
        if (dim.size < 0) {
            return expr(dim.dim);
        }
#if PLUGINKIT_TENSORRT_MAJOR >= 10
        const nvinfer1::IDimensionExpr*& declared = mSizes[dim.size];
        if (declared == nullptr) {
            declared = mBuilder.declareSizeTensor(dim.size, *expr(dim.opt), *expr(dim.dim));
        }
        return static_cast<const nvinfer1::IDimensionExpr*>(checked(declared));
#else
        throw Refusal("PK214 TensorRT 8 has no outputs whose shapes depend on data.");
#endif
    }

private:
    static Expr checked(const nvinfer1::IDimensionExpr* expr) {
        if (expr == nullptr) {
            throw Refusal("PK114 TensorRT refused a shape expression.");
        }
        return expr;
    }

    nvinfer1::IExprBuilder& mBuilder;
    std::map<std::int32_t, const nvinfer1::IDimensionExpr*> mSizes;
};

}  // namespace

bool type_from_tensorrt(DataType from, Type& to) {
    for (const TypePair& pair : kTypePairs) {
        if (pair.tensorrt == from) {
            to = pair.type;
            return true;
        }
    }
    return false;
}

DataType tensorrt_from_type(Type type) {
    for (const TypePair& pair : kTypePairs) {
        if (pair.type == type) {
            return pair.tensorrt;
        }
    }
    throw Refusal(std::string("PK120 this TensorRT has no tensors of ") + type_name(type) + ".");
}

Type need_type(DataType from) {
    Type type;
    if (!type_from_tensorrt(from, type)) {
        throw Refusal("PK120 TensorRT DataType " + std::to_string(static_cast<int>(from)) +
                      " is not a type that plugins take.");
    }
    return type;
}

Shape shape_from_dims(const nvinfer1::Dims& dims) {
    const std::int32_t rank = std::clamp(dims.nbDims, 0, +nvinfer1::Dims::MAX_DIMS);
    return Shape(dims.d, dims.d + rank);
}

Instance::Instance(const Program& program, const Wire& wire, std::string name)
    : mNode(std::make_shared<Node>(program, wire, std::move(name))) {
    const auto sizes = wire.find(kRecordedSizesField);
    if (sizes != wire.end() && sizes->second.is(Json::Type::kString)) {
        mSizes = RecordedSizes::from_text(*mNode, sizes->second.string);
        mSizes.check_unchanged(*mNode);
    }
}

Instance::Instance(const Instance& other)
    : mNode(other.mNode),
      mTypes(other.mTypes),
      mTactic(other.mTactic),
      mSizes([&] {
          const std::lock_guard<std::mutex> lock(other.mMutex);
          return other.mSizes;
      }()),
      mFailure(other.mFailure) {}

void Instance::fail(Failure failure, const char* callback, const char* reason) noexcept {
    try {
        log_error(node().owner() + "." + callback +
                  (node().name().empty() ? "" : ", " + node().where()) + ": " + reason);
        if (failure == Failure::kPersistent && mFailure.empty()) {
            mFailure = reason;
        }
    } catch (...) {
        // Out of memory: the failure is not recorded, but the callback still returns an error.
    }
}

void Instance::refuse_after_failure() const {
    if (has_failed()) {
        throw Refusal(message("PK206 " + node().owner() + ": an earlier callback of the plugin failed.", "",
                              mFailure, ""));
    }
}

std::vector<Type> Instance::known_types() const {
    const bool is_usable = mTypes.size() == node().device_inputs().size() &&
                           node().has_kernels_for(mTypes);
    return is_usable ? mTypes : node().first_types();
}

std::vector<DataType> Instance::output_types(const DataType* inputs, std::int32_t count) {
    std::vector<Type> types;
    for (std::int32_t i = 0; i < count; ++i) {
        types.push_back(need_type(inputs[i]));
    }
    mTypes = types;
#if PLUGINKIT_TENSORRT_MAJOR >= 11
    node().check_types(types);  // before 11 a weakly typed network states FLOAT for every float
#endif
    std::vector<DataType> found;
    for (const Type type : node().output_types(types)) {
        found.push_back(tensorrt_from_type(type));
    }
    return found;
}

void Instance::output_shapes(const nvinfer1::DimsExprs* inputs, std::int32_t count,
                             const nvinfer1::DimsExprs* shape_inputs,
                             std::int32_t shape_input_count, nvinfer1::DimsExprs* outputs,
                             nvinfer1::IExprBuilder& builder) {
    ExprAlgebra algebra(builder);
    std::vector<Dims> shapes;
    for (std::int32_t i = 0; i < count; ++i) {
        shapes.push_back(algebra.dims(inputs[i]));
    }
    Context context = node().context(shapes, known_types(), mTactic);
    const std::vector<std::size_t>& shaping = node().shape_inputs();
    if (static_cast<std::size_t>(std::max(shape_input_count, 0)) != shaping.size()) {
        throw Refusal("PK111 " + node().owner() + ": got " + std::to_string(shape_input_count) +
                      " shape inputs; expected " + std::to_string(shaping.size()) + ".");
    }
    for (std::size_t i = 0; i < shaping.size(); ++i) {
        Tensor& input = context.inputs[shaping[i]];
        Dims values = algebra.dims(shape_inputs[i]);
        if (values.size() != input.values.size()) {
            throw Refusal("PK112 " + node().owner() + ": shape input '" + input.name + "' has " +
                          std::to_string(values.size()) + " values; expected " +
                          std::to_string(input.values.size()) + ".");
        }
        input.values = std::move(values);
    }
    node().check(context);
    const std::vector<OutputShape> found = node().output_shapes(context);
    for (std::size_t i = 0; i < found.size(); ++i) {
        if (found[i].size() > static_cast<std::size_t>(nvinfer1::Dims::MAX_DIMS)) {
            throw Refusal("PK114 " + node().owner() + ".output_shapes returned " +
                          std::to_string(found[i].size()) + " dimensions; expected up to 8.");
        }
        outputs[i].nbDims = static_cast<std::int32_t>(found[i].size());
        for (std::size_t axis = 0; axis < found[i].size(); ++axis) {
            outputs[i].d[axis] = algebra.expr(found[i][axis]);
        }
    }
}

bool Instance::supports(const std::vector<nvinfer1::PluginTensorDesc>& in_out,
                        std::int32_t input_count) {
    refuse_after_failure();
    const std::size_t position = in_out.size() - 1;
    const auto inputs = static_cast<std::size_t>(input_count);
    if (in_out[position].format != nvinfer1::TensorFormat::kLINEAR) {
        return false;
    }
    std::vector<Type> types;
    for (const nvinfer1::PluginTensorDesc& desc : in_out) {
        types.emplace_back();
        if (!type_from_tensorrt(desc.type, types.back())) {
            return false;
        }
    }
    const Type found = types[position];
    types.resize(std::min(types.size(), inputs));
    if (!node().has_kernels_for(types)) {
        return false;
    }
    if (position < inputs) {
        return true;
    }
    try {
        return node().output_types(types).at(position - inputs) == found;
    } catch (const Refusal&) {
        return false;  // these attribute values rule the types out
    }
}

void Instance::check_profile(const std::vector<ProfileShapes>& ends,
                             const std::vector<Type>& types) {
    for (const Shape& shape : ends.back().shapes) {
        if (std::find(shape.begin(), shape.end(), kUnbounded) != shape.end()) {
            return;
        }
    }
    const auto is_opt = [](const ProfileShapes& end) { return std::string(end.label) == "opt"; };
    const bool has_ends = std::all_of(ends.begin(), ends.end(), [&](const ProfileShapes& end) {
        return is_opt(end) || are_concrete(end.shapes);
    });
    for (const ProfileShapes& end : ends) {
        if (are_concrete(end.shapes) && !(is_opt(end) && has_ends)) {
            check_shapes(end, types);
        }
    }
}

void Instance::check_shapes(const ProfileShapes& profile, const std::vector<Type>& types) {
    try {
        const Context context =
            node().concrete(reserved(profile.shapes), types, reserved(profile.trt_outputs), mTactic);
        node().check(context);
        node().with_outputs(context);
    } catch (const Refusal& refusal) {
        std::string shapes;
        for (const Shape& shape : profile.shapes) {
            shapes += (shapes.empty() ? "" : ", ") + list_text(Dims(shape.begin(), shape.end()));
        }
        const std::string where = "the profile's " + std::string(profile.label) + " shapes " + shapes;
        throw Refusal(message(refusal.what(), where, "", ""));
    }
}

std::int64_t Instance::workspace_bytes(const std::vector<ProfileShapes>& profiles,
                                       const std::vector<Type>& types) {
    refuse_after_failure();
    const std::lock_guard<std::mutex> lock(mMutex);
    for (const ProfileShapes& profile : profiles) {
        if (are_concrete(profile.shapes) || &profile == &profiles.back()) {
            mSizes.record(node(), profile.shapes, types, profile.trt_outputs);
        }
    }
    return mSizes.workspace_bytes(types).value_or(0);
}

void Instance::set_tactic(std::int32_t tactic) {
    const std::size_t count = program().tactic_count;
    if (tactic == 0 || count == 0) {
        return;
    }
    if (tactic < 0 || static_cast<std::size_t>(tactic) > count) {
        throw Refusal(message("PK215 " + node().owner() + ": the plan uses tactic " +
                                  std::to_string(tactic) + "; expected 1 to " +
                                  std::to_string(count) + ".",
                              node().where(), "",
                              "build the plan again with this version of the library."));
    }
    mTactic = tactic - 1;
    release();
}

std::int32_t Instance::aliased_input(std::int32_t output) const {
    if (output < 0 || static_cast<std::size_t>(output) >= program().output_count) {
        return -1;
    }
    const std::int32_t input = program().outputs[output].aliases;
    const std::vector<std::size_t>& seen = node().device_inputs();
    const auto found = std::find(seen.begin(), seen.end(), static_cast<std::size_t>(input));
    return input < 0 || found == seen.end() ? -1
                                            : static_cast<std::int32_t>(found - seen.begin());
}

Wire Instance::wire() const {
    Wire wire = node().wire();
    if (has_failed()) {
        // TensorRT ignores some failures, such as those of getWorkspaceSize. This keeps the plan
        // from loading.
        wire[kRecordedSizesField] = Json::of("the build failed: " + mFailure);
        return wire;
    }
    const std::lock_guard<std::mutex> lock(mMutex);
    if (!mSizes.empty()) {
        wire[kRecordedSizesField] = Json::of(mSizes.text());
    }
    return wire;
}

void Instance::prepare(const std::vector<Shape>& shapes, const std::vector<Type>& types,
                       const std::vector<Shape>& trt_outputs) {
    refuse_after_failure();
    mPrepared = nullptr;
    const bool has_values = !node().shape_inputs().empty();
    for (auto known = mPreparedBefore.begin(); known != mPreparedBefore.end(); ++known) {
        if (known->shapes == shapes && known->types == types &&
            (!has_values || known->trt_outputs == trt_outputs)) {
            mPreparedBefore.splice(mPreparedBefore.begin(), mPreparedBefore, known);
            mPrepared = known->prepared;
            return;
        }
    }
    Context context = node().concrete(shapes, types, trt_outputs, mTactic);
    node().check(context);
    context = node().with_outputs(std::move(context));
    mSizes.check_workspace(node(), context);
    context.workspace_bytes = node().workspace_bytes(context);
    mPrepared = std::make_shared<Prepared>(program(), std::move(context));
    mPreparedBefore.push_front({shapes, types, trt_outputs, mPrepared});
    if (mPreparedBefore.size() > kKeptShapes) {
        mPreparedBefore.pop_back();
    }
}

void Instance::release() {
    mPrepared = nullptr;
    mPreparedBefore.clear();
}

}  // namespace pluginkit
