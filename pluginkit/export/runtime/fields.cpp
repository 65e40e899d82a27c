#include "fields.h"

#include <cstring>

#include "bytes.h"

namespace pluginkit {

namespace {

using nvinfer1::PluginField;
using nvinfer1::PluginFieldType;

// The layout of a serialized IPluginV2DynamicExt; pluginkit.trt.plugin_v2 has the same number.
constexpr std::int64_t kSerializedFormat = 1;

// The elements of a field, which need not be aligned, as JSON numbers.
template <typename T>
Json numbers(const PluginField& field) {
    Json list = Json::list();
    const auto* data = static_cast<const char*>(field.data);
    for (std::int32_t i = 0; i < field.length; ++i) {
        T item;
        std::memcpy(&item, data + static_cast<std::size_t>(i) * sizeof item, sizeof item);
        if constexpr (std::is_floating_point_v<T>) {
            list.items.push_back(Json::of(static_cast<double>(item)));
        } else {
            list.items.push_back(Json::of(static_cast<std::int64_t>(item)));
        }
    }
    return list;
}

std::string text_of(const PluginField& field) {
    std::string text(static_cast<const char*>(field.data), static_cast<std::size_t>(field.length));
    text.resize(text.find_last_not_of('\0') + 1);
    return text;
}

Json parted(const std::string& text) {
    Json list = Json::list();
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find('\0', begin), text.size());
        list.items.push_back(Json::of(text.substr(begin, end - begin)));
        begin = end + 1;
    }
    return list;
}

Json json_from_field(const Program& program, const Attribute& attribute, const PluginField& field,
                     const std::string& where) {
    Json list;
    switch (field.type) {
        case PluginFieldType::kCHAR: {
            const std::string text = text_of(field);
            const bool is_joined = attribute.is_tuple && attribute.kind == Kind::kString &&
                                   text.compare(0, 5, "json:") != 0;
            return is_joined ? parted(text) : Json::of(text);
        }
        case PluginFieldType::kINT8: list = numbers<std::int8_t>(field); break;
        case PluginFieldType::kINT16: list = numbers<std::int16_t>(field); break;
        case PluginFieldType::kINT32: list = numbers<std::int32_t>(field); break;
#if PLUGINKIT_TENSORRT_MAJOR >= 10
        case PluginFieldType::kINT64: list = numbers<std::int64_t>(field); break;
#endif
        case PluginFieldType::kFLOAT32: list = numbers<float>(field); break;
        case PluginFieldType::kFLOAT64: list = numbers<double>(field); break;
        default:
            throw Refusal(message(
                "PK205 " + std::string(program.owner) + ": attribute '" + attribute.name +
                    "' reached TensorRT as a field of type " +
                    std::to_string(static_cast<int>(field.type)) + "; expected " +
                    attribute.expected + ".",
                where,
                "TensorRT's ONNX parser mislabels int64, bool and uint8 tensors as FLOAT16.",
                "let `pluginkit rewrite` write the node: it carries such values as text."));
    }
    const bool is_scalar =
        !attribute.is_tuple && attribute.kind != Kind::kArray && list.items.size() == 1;
    return is_scalar ? Json(list.items[0]) : list;
}

const Attribute* attribute_called(const Program& program, const char* name) {
    for (std::size_t i = 0; i < program.attribute_count; ++i) {
        if (std::strcmp(program.attributes[i].name, name) == 0) {
            return &program.attributes[i];
        }
    }
    return nullptr;
}

bool is_own_field(const char* name) {
    return std::strcmp(name, kInputsField) == 0 || std::strcmp(name, kRecordedSizesField) == 0;
}

}  // namespace

FieldBlock::FieldBlock(const Wire& wire) : mCollection{0, nullptr} {
    mNames.reserve(wire.size());
    mBuffers.reserve(wire.size());
    for (const auto& [name, json] : wire) {
        mNames.push_back(name);
        mBuffers.emplace_back();
        std::string& buffer = mBuffers.back();
        PluginFieldType type = PluginFieldType::kCHAR;
        std::size_t count = 0;
        if (json.is(Json::Type::kString)) {
            buffer = json.string + '\0';
            count = buffer.size();
        } else {
            const std::vector<Json> one = {json};
            const std::vector<Json>& items = json.is(Json::Type::kList) ? json.items : one;
            const bool is_float = items.at(0).is(Json::Type::kFloat);
            type = is_float ? PluginFieldType::kFLOAT32 : PluginFieldType::kINT32;
            count = items.size();
            for (const Json& item : items) {
                if (is_float) {
                    append_bytes(buffer, static_cast<float>(item.number));
                } else {
                    append_bytes(buffer, static_cast<std::int32_t>(item.integer));
                }
            }
        }
        if (count > std::size_t{0x7FFFFFFF}) {
            throw Refusal("PK205 attribute of " + std::to_string(count) +
                          " bytes; expected at most 2147483647.");
        }
        mFields.emplace_back(mNames.back().c_str(), buffer.data(), type,
                             static_cast<std::int32_t>(count));
    }
    mCollection.nbFields = static_cast<std::int32_t>(mFields.size());
    mCollection.fields = mFields.data();
}

Wire wire_from_fields(const Program& program, const nvinfer1::PluginFieldCollection* fields,
                      const std::string& where) {
    Wire wire;
    if (fields == nullptr || fields->fields == nullptr) {
        return wire;
    }
    for (std::int32_t i = 0; i < fields->nbFields; ++i) {
        PluginField field = fields->fields[i];
        if (field.name == nullptr) {
            continue;
        }
        if (field.length < 0 || field.data == nullptr) {
            field.length = 0;
            field.data = "";
        }
        if (const Attribute* attribute = attribute_called(program, field.name)) {
            wire[field.name] = json_from_field(program, *attribute, field, where);
        } else if (is_own_field(field.name) && field.type == PluginFieldType::kCHAR) {
            wire[field.name] = Json::of(text_of(field));
        }
    }
    return wire;
}

Wire announced_fields(const Program& program) {
    Wire wire;
    for (std::size_t i = 0; i < program.attribute_count; ++i) {
        wire[program.attributes[i].name] = Json::of(std::string());
    }
    for (std::size_t i = 0; i < program.input_count; ++i) {
        if (program.inputs[i].is_optional) {
            wire[kInputsField] = Json::of(std::string());
        }
    }
    return wire;
}

std::string payload_from_wire(const Wire& wire) {
    Json attributes = Json::object();
    for (const auto& [name, json] : wire) {
        attributes.add(name, json);
    }
    Json document = Json::object();
    document.add("pluginkit", Json::of(kSerializedFormat));
    document.add("attributes", std::move(attributes));
    return text_from_json(document);
}

Wire wire_from_payload(const Program& program, const void* data, std::size_t size,
                       const std::string& where) {
    std::string problem;
    try {
        const Json document =
            json_from_text(std::string_view(static_cast<const char*>(data), size));
        const std::int64_t format = document.at("pluginkit").as_int(0);
        if (format == kSerializedFormat) {
            const Json& attributes = document.at("attributes");
            if (!attributes.is(Json::Type::kObject)) {
                throw JsonError("the attributes are no object");
            }
            Wire wire;
            for (std::size_t i = 0; i < attributes.items.size(); ++i) {
                wire[attributes.keys[i]] = attributes.items[i];
            }
            return wire;
        }
        problem = "format " + std::to_string(format) + "; expected " +
                  std::to_string(kSerializedFormat);
    } catch (const JsonError& error) {
        problem = std::to_string(size) + " bytes that cannot be read (" + error.what() + ")";
    }
    throw Refusal(message("PK207 " + std::string(program.owner) + ": the plan holds " + problem +
                              ".",
                          where, "", "build the plan again with this library."));
}

}  // namespace pluginkit
