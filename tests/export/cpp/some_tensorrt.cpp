// A library that acts as TensorRT of any version, and calls getCreators of a plugin library.
#include <cstdint>

namespace {

std::int32_t sVersion = 0;

}

extern "C" std::int32_t getInferLibVersion() { return sVersion; }

// Sets the version and asks for the creators, as that version's loadLibrary does.
extern "C" void* asked_by(std::int32_t version, void* (*get_creators)(std::int32_t&),
                          std::int32_t* count) {
    sVersion = version;
    void* found = get_creators(*count);
    sVersion = 0;  // no tail call: the library finds its caller by the return address
    return found;
}
