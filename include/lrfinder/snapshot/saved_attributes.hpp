#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/snapshot/restore_errors.hpp>
#include <lrfinder/snapshot/saved_tensors.hpp>
#include <lrfinder/torch/compatibility.hpp>
#include <lrfinder/torch/module.hpp>

namespace lrfinder::detail {

/// The attributes of a TorchScript module and its submodules, any of which its code may assign
/// anew: numbers, tensors, lists and so on. A module of C++ has none that could be seen.
///
/// Lists, dictionaries and objects are set aside, and copies work in their place during the test;
/// the tensors in them are not copied but saved like any other.
class SavedAttributes {
 public:
  /// Saves the tensors into `tensors`. Changes nothing yet.
  SavedAttributes(const ModuleHandle& module, SavedTensors& tensors) {
    module.each_script_object([&](const Object& object) {
      for (std::size_t slot = 0; slot < object->slots().size(); ++slot) {
        saved_.push_back({object, slot, object->getSlot(slot), {}});
        keep_tensors(saved_.back().value, tensors);
      }
    });
    for (Attribute& attribute : saved_) attribute.copy = copy_of(attribute.value);
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

  // Saves all tensors in a value, and has copies share them.
  void keep_tensors(const c10::IValue& value, SavedTensors& tensors) {
    c10::IValue::HashAliasedIValues parts;
    value.getSubValues(parts);
    for (const c10::IValue& part : parts) {
      if (part.isTensor()) tensors.save(part.toTensor());
      if (part.isTensor() || part.isModule()) shared_[part] = part;
    }
  }

  // One that was made in C++ may have no copy; it stays in its place.
  c10::IValue copy_of(const c10::IValue& value) {
    if (value.isTensor() || value.isModule()) return value;
    try {
      return value.deepcopy(shared_);
    } catch (const c10::Error&) {
      return value;
    }
  }

  std::vector<Attribute> saved_;
  CopiedValues shared_;
};

}  // namespace lrfinder::detail
