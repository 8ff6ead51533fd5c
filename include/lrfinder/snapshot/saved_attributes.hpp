#pragma once

#include <cstddef>
#include <unordered_map>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/snapshot/restore_errors.hpp>
#include <lrfinder/snapshot/saved_tensors.hpp>
#include <lrfinder/torch/module.hpp>

namespace lrfinder::detail {

/// The attributes of a TorchScript module and its submodules, any of which its code may assign
/// anew: numbers, tensors, lists and so on. A module of C++ has none that could be seen.
///
/// Lists, dictionaries, tuples and objects are set aside, and copies work in their place during the
/// test; the tensors in them are not copied but saved like any other. What LibTorch cannot look
/// into, as an object of a C++ class, stays in its place.
class SavedAttributes {
 public:
  /// Saves the tensors into `tensors`. Changes nothing yet.
  SavedAttributes(const ModuleHandle& module, SavedTensors& tensors) {
    Copies copies;
    module.each_script_object([&](const Object& object) {
      for (std::size_t slot = 0; slot < object->slots().size(); ++slot) {
        const c10::IValue& value = object->getSlot(slot);
        saved_.push_back({object, slot, value, copy_of(value, tensors, copies)});
      }
    });
  }

  /// Sets the saved values aside; copies take the place of those that can be changed.
  void set_aside() {
    for (Attribute& attribute : saved_) {
      attribute.object->setSlot(attribute.slot, std::move(attribute.copy));
    }
  }

  /// Makes all attributes what they were.
  void restore(RestoreErrors& errors) {
    errors.unless("an attribute of a TorchScript module", [&] {
      for (const Attribute& attribute : saved_) {
        attribute.object->setSlot(attribute.slot, attribute.value);
      }
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

  using Copies = std::unordered_map<const void*, c10::IValue>;  // by what they were copied from

  // A copy that shares tensors, which are saved, and submodules. IValue::deepcopy() would take
  // tensors that share memory for one and the same, and throws at objects of C++ classes.
  static c10::IValue copy_of(const c10::IValue& value, SavedTensors& tensors, Copies& copies) {
    if (value.isTensor()) tensors.save(value.toTensor());
    const bool has_parts = value.isList() || value.isGenericDict() || value.isTuple() ||
                           (value.isObject() && !value.isModule());
    if (!has_parts) return value;
    const void* const original = value.internalToPointer();
    const auto known = copies.find(original);
    if (known != copies.end()) return known->second;
    if (value.isTuple()) {
      std::vector<c10::IValue> parts;
      for (const c10::IValue& part : value.toTupleRef().elements()) {
        parts.push_back(copy_of(part, tensors, copies));
      }
      const auto type = value.toTupleRef().type();
      const bool has_names = type->schema() != nullptr;
      return copies[original] = has_names ? c10::ivalue::Tuple::createNamed(std::move(parts), type)
                                          : c10::ivalue::Tuple::create(std::move(parts));
    }
    // The others may contain themselves, so that they are known before their parts are copied.
    if (value.isList()) {
      const auto list = value.toList();
      c10::impl::GenericList copy(list.elementType());
      copies[original] = copy;
      for (std::size_t i = 0; i < list.size(); ++i) {
        copy.push_back(copy_of(list.get(i), tensors, copies));
      }
    } else if (value.isGenericDict()) {
      const auto dictionary = value.toGenericDict();
      c10::impl::GenericDict copy(dictionary.keyType(), dictionary.valueType());
      copies[original] = copy;
      for (const auto& entry : dictionary) {
        copy.insert(entry.key(), copy_of(entry.value(), tensors, copies));
      }
    } else {
      const Object object = value.toObject();
      const Object copy = object->copy();
      copies[original] = copy;
      for (std::size_t slot = 0; slot < object->slots().size(); ++slot) {
        copy->setSlot(slot, copy_of(object->getSlot(slot), tensors, copies));
      }
    }
    return copies[original];
  }

  std::vector<Attribute> saved_;
};

}  // namespace lrfinder::detail
