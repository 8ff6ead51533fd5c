#pragma once

#include <cstddef>
#include <unordered_map>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/snapshot/saved_tensors.hpp>
#include <lrfinder/snapshot/store.hpp>
#include <lrfinder/torch/module.hpp>

namespace lrfinder::detail {

/// The copies of values, by their originals.
using AttributeCopies = std::unordered_map<const void*, c10::IValue>;

/// Copies the value of an attribute of a TorchScript module. The copy shares submodules, and has
/// the tensors that `map` returns for those of the value. IValue::deepcopy() would confuse tensors
/// that share memory, and throws for objects of C++ classes.
template <class Map>
c10::IValue copy_of(const c10::IValue& value, AttributeCopies& copies, const Map& map) {
  if (value.isTensor()) return map(value.toTensor());
  const bool has_parts = value.isList() || value.isGenericDict() || value.isTuple() ||
                         (value.isObject() && !value.isModule());
  if (!has_parts) return value;
  const void* const original = value.internalToPointer();
  const auto known = copies.find(original);
  if (known != copies.end()) return known->second;
  const auto part = [&](const c10::IValue& of) { return copy_of(of, copies, map); };
  if (value.isTuple()) {
    std::vector<c10::IValue> parts;
    for (const c10::IValue& each : value.toTupleRef().elements()) parts.push_back(part(each));
    const auto type = value.toTupleRef().type();
    const bool has_names = type->schema() != nullptr;
    return copies[original] = has_names ? c10::ivalue::Tuple::createNamed(std::move(parts), type)
                                        : c10::ivalue::Tuple::create(std::move(parts));
  }
  // The other kinds may contain themselves, so their copy is known before its parts are made.
  if (value.isList()) {
    const auto copy = value.toList().copy();
    copies[original] = copy;
    for (std::size_t i = 0; i < copy.size(); ++i) copy.set(i, part(copy.get(i)));
  } else if (value.isGenericDict()) {
    const auto copy = value.toGenericDict().copy();
    copies[original] = copy;
    for (const auto& entry : copy) entry.setValue(part(entry.value()));
  } else {
    const auto copy = value.toObject()->copy();
    copies[original] = copy;
    for (std::size_t slot = 0; slot < copy->slots().size(); ++slot) {
      copy->setSlot(slot, part(copy->getSlot(slot)));
    }
  }
  return copies[original];
}

/// The attributes of a TorchScript module and its submodules: numbers, tensors, lists and so on.
/// The code of the module may assign any of them. For a C++ module there are none, because its
/// members cannot be listed.
///
/// The snapshot keeps lists, dictionaries, tuples and objects, and the test works with copies of
/// them. The tensors in them are not copied but saved like any other tensor. Values that LibTorch
/// cannot look into, like objects of C++ classes, are not copied.
class SavedAttributes {
 public:
  /// Saves the tensors of the attributes into `tensors`. Does not change the module.
  SavedAttributes(const ModuleHandle& module, SavedTensors& tensors) {
    AttributeCopies copies;
    const auto save = [&](const torch::Tensor& tensor) { return tensors.save(tensor), tensor; };
    module.each_script_object([&](const Object& object) {
      for (std::size_t slot = 0; slot < object->slots().size(); ++slot) {
        const c10::IValue& value = object->getSlot(slot);
        saved_.push_back({object, slot, value, copy_of(value, copies, save)});
      }
    });
  }

  /// Puts copies in the place of the saved values that can be changed.
  void set_aside() {
    for (auto& [object, slot, value, copy] : saved_) object->setSlot(slot, std::move(copy));
  }

  /// Restores all attributes.
  void restore(RestoreErrors& errors) {
    errors.unless("an attribute of a TorchScript module", [&] {
      for (const auto& [object, slot, value, copy] : saved_) object->setSlot(slot, value);
    });
  }

 private:
  using Object = c10::intrusive_ptr<c10::ivalue::Object>;

  struct Attribute {
    Object object;
    std::size_t slot;
    c10::IValue value;
    c10::IValue copy;
  };

  std::vector<Attribute> saved_;
};

}  // namespace lrfinder::detail
