#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "fine_tuning.hpp"
#include "models.hpp"
#include "samples.hpp"
#include "task.hpp"

/// @file
/// All tasks.

/// The kinds that are held out. The list was fixed before any of them was trained: rules are chosen
/// on the other kinds, and these say what a rule is worth.
inline constexpr std::array held_out_kinds{"digits_conv",   "regression_layer_norm", "adding_gru",
                                           "text",          "tune_two_groups",       "tune_shifted",
                                           "stream_sheets", "stream_clusters"};

/// A look at those changed a rule. These were added then, and looked at when the rule was finished.
inline constexpr std::array later_kinds{"autoencoder", "digits_rows", "sheets", "tune_conv"};

/// Whether a kind is in a list.
template <class List>
bool contains(const List& list, const std::string& kind) {
  return std::find(list.begin(), list.end(), kind) != list.end();
}

inline constexpr std::int64_t usual_steps = 3000, stream_steps = 30'000;

/// Collects tasks of the same number of updates.
class TaskList {
 public:
  using Settings = std::vector<std::pair<std::string, std::int64_t>>;

  explicit TaskList(std::int64_t steps) : steps_(steps) {}

  /// A model from random parameters, once with each optimizer and batch size.
  void add(const std::string& kind, const std::string& variant, const SharedSamples& samples,
           const MakeNetwork& make_network, const Criterion& criterion, const Settings& settings) {
    for (const auto& [optimizer, batch_size] : settings) {
      Task& task = append(kind, variant, optimizer, batch_size);
      task.samples = samples;
      task.criterion = criterion;
      task.make = [make_network, optimizer = optimizer, seed = tasks_.size()] {
        torch::manual_seed(seed);
        Training training;
        training.network = make_network();
        training.optimizer = make_optimizer(optimizer, {{training.network->parameters(), 1.0}});
        return training;
      };
    }
  }

  /// A model that is trained already, in the same way. Its rates are a third of the usual ones.
  void add(const std::string& kind, const std::string& variant, const SharedSamples& samples,
           const FineTuning& fine_tuning, const Settings& settings) {
    for (const auto& [optimizer, batch_size] : settings) {
      Task& task = append(kind, variant, optimizer, batch_size);
      task.samples = samples;
      task.criterion = cross_entropy();
      task.centre /= 3;
      task.make = [fine_tuning, optimizer = optimizer, seed = tasks_.size()] {
        return fine_tuning.make(optimizer, seed);
      };
    }
  }

  std::vector<Task> take() { return std::move(tasks_); }

 private:
  Task& append(const std::string& kind, const std::string& variant, const std::string& optimizer,
               std::int64_t batch_size) {
    Task task;
    task.name = kind + '_' + variant + '_' + optimizer + '_' + std::to_string(batch_size);
    task.kind = kind;
    task.optimizer_name = optimizer;
    task.batch_size = batch_size;
    task.steps = steps_;
    task.centre = centre_of(optimizer);
    task.held_out = contains(held_out_kinds, kind) ? 1 : contains(later_kinds, kind) ? 2 : 0;
    tasks_.push_back(std::move(task));
    return tasks_.back();
  }

  std::int64_t steps_;
  std::vector<Task> tasks_;
};

inline void add_digits(TaskList& list) {
  const auto plain = shared(digit_samples(16, 0.1));
  const auto moving = shared(digit_samples(24, 0.4));
  const auto wrong = shared(with_wrong_labels(digit_samples(24, 0.2), 0.2));
  const auto loss = cross_entropy();
  const auto batch = Normalisation::batch;
  list.add("digits_dense", "wide", moving, dense(64, 10, 1, 48), loss,
           {{"sgd", 16}, {"momentum", 32}, {"adam", 64}});
  list.add("digits_dense", "deep", moving, dense(64, 10, 3, 24), loss, {{"adamw", 16}});
  list.add("digits_dense", "plain", plain, dense(64, 10, 1, 32), loss, {{"momentum", 8}});
  list.add("digits_batch_norm", "moving", moving, dense(64, 10, 1, 32, batch), loss,
           {{"sgd", 32}, {"momentum", 16}});
  list.add("digits_batch_norm", "wrong", wrong, dense(64, 10, 1, 32, batch), loss, {{"adam", 32}});
  list.add("digits_batch_norm", "deep", moving, dense(64, 10, 2, 24, batch), loss, {{"adamw", 64}});
  list.add("digits_conv", "plain", plain, small_convolutional(4, false), loss,
           {{"sgd", 8}, {"adamw", 16}});
  list.add("digits_conv", "moving", moving, small_convolutional(6, false), loss,
           {{"momentum", 16}});
  list.add("digits_conv", "norm", moving, small_convolutional(4, true), loss, {{"adam", 16}});
}

inline void add_tables(TaskList& list) {
  const auto spiral = shared(two_spirals());
  const auto cluster = shared(clusters());
  const auto entropy = cross_entropy(), squares = squared_error();
  list.add("table_classes", "spirals", spiral, dense(4, 2, 2, 32), entropy,
           {{"sgd", 32}, {"adam", 16}});
  list.add("table_classes", "clusters", cluster, dense(10, 6, 1, 32), entropy,
           {{"momentum", 4}, {"adamw", 128}});
  list.add("table_classes", "tanh", spiral, tanh_layers(4, 2, 2, 24), entropy, {{"momentum", 64}});
  const auto friedman_points = shared(friedman());
  const auto surface_points = shared(smooth_surface());
  const auto response = shared(responses());
  list.add("regression", "friedman", friedman_points, dense(10, 1, 1, 32), squares,
           {{"sgd", 16}, {"adam", 64}});
  list.add("regression", "surface", surface_points, dense(8, 1, 2, 32), squares,
           {{"momentum", 32}});
  list.add("regression", "tanh", response, tanh_layers(6, 2, 1, 32), squares,
           {{"adamw", 8}, {"momentum", 128}});
  const auto layer = Normalisation::layer;
  list.add("regression_layer_norm", "friedman", friedman_points, dense(10, 1, 1, 32, layer),
           squares, {{"momentum", 16}, {"adamw", 32}});
  list.add("regression_layer_norm", "surface", surface_points, dense(8, 1, 2, 24, layer), squares,
           {{"adam", 32}});
  list.add("regression_layer_norm", "response", response, dense(6, 2, 1, 32, layer), squares,
           {{"sgd", 64}});
}

inline void add_sequences(TaskList& list) {
  using torch::nn::GRU, torch::nn::GRUOptions, torch::nn::LSTM, torch::nn::LSTMOptions;
  const auto texts = shared(short_texts());
  const auto sums = shared(marked_sums(6));
  const auto entropy = cross_entropy(), letter_entropy = letter_cross_entropy(),
             squares = squared_error();
  list.add("letters_recurrent", "lstm", texts, next_letter<LSTM, LSTMOptions>(12, 16),
           letter_entropy, {{"sgd", 16}, {"adam", 16}});
  list.add("letters_recurrent", "gru", texts, next_letter<GRU, GRUOptions>(12, 16), letter_entropy,
           {{"momentum", 8}, {"adamw", 32}});
  list.add("adding_gru", "narrow", sums, reader<GRU, GRUOptions>(2, 1, 12), squares,
           {{"momentum", 16}, {"adam", 32}});
  list.add("adding_gru", "wide", sums, reader<GRU, GRUOptions>(2, 1, 20), squares,
           {{"sgd", 16}, {"adamw", 16}});
  list.add("letters_attention", "plain", texts, small_attention(12, 6, 16, false), letter_entropy,
           {{"sgd", 16}, {"adam", 8}});
  list.add("letters_attention", "norm", texts, small_attention(12, 6, 16, true), letter_entropy,
           {{"momentum", 16}, {"adamw", 32}});
  const auto indices = shared(words());
  const auto counts = shared(word_counts());
  list.add("text", "bag", indices, embedding_bag(200, 16, 0, 8), entropy,
           {{"momentum", 16}, {"adam", 32}});
  list.add("text", "hidden", indices, embedding_bag(200, 12, 16, 8), entropy, {{"sgd", 8}});
  list.add("text", "counts", counts, dense(200, 8, 1, 16), entropy, {{"adamw", 64}});
}

inline void add_fine_tuning(TaskList& list) {
  const auto moving = digit_samples(24, 0.4);
  const auto first_half = shared(classes(moving, 0, 4));
  const auto second_half = shared(classes(moving, 5, 9));
  const auto few = shared(classes(digit_samples(8, 0.3), 5, 9));
  const auto dense_body = dense_backbone(48, 24, false);
  const auto norm_body = dense_backbone(32, 24, true);
  const auto conv_body = convolutional_backbone(4);
  const FineTuning all{Pretrained(dense_body, 24, 5, first_half), Trained::all};
  const FineTuning all_norm{Pretrained(norm_body, 24, 5, first_half), Trained::all};
  list.add("tune_all", "dense", second_half, all, {{"sgd", 16}, {"momentum", 16}, {"adam", 32}});
  list.add("tune_all", "norm", second_half, all_norm, {{"adamw", 32}});
  list.add("tune_all", "few", few, all, {{"momentum", 32}});
  const FineTuning head{all.pretrained, Trained::head};
  const FineTuning head_norm{all_norm.pretrained, Trained::head};
  list.add("tune_head", "dense", second_half, head, {{"momentum", 8}, {"adam", 32}});
  list.add("tune_head", "norm", second_half, head_norm, {{"sgd", 16}});
  list.add("tune_head", "few", few, head, {{"adamw", 16}});
  const FineTuning groups{all.pretrained, Trained::backbone_at_a_tenth};
  const FineTuning groups_conv{Pretrained(conv_body, 64, 5, first_half),
                               Trained::backbone_at_a_tenth};
  list.add("tune_two_groups", "dense", second_half, groups, {{"sgd", 32}, {"adamw", 16}});
  list.add("tune_two_groups", "conv", second_half, groups_conv, {{"momentum", 16}, {"adam", 16}});

  const auto known = shared(moving);
  const FineTuning again{Pretrained(dense_body, 24, 10, known), Trained::all_with_old_head};
  const FineTuning again_norm{Pretrained(norm_body, 24, 10, known), Trained::all_with_old_head};
  const FineTuning again_conv{Pretrained(conv_body, 64, 10, known), Trained::all_with_old_head};
  const auto turn = [](double degrees) {
    return [degrees](const torch::Tensor& images) { return turned(images, degrees); };
  };
  const auto negative = [](const torch::Tensor& images) { return 0.5 - images; };
  list.add("tune_shifted", "turned", shared(changed(moving, turn(40))), again,
           {{"sgd", 16}, {"adam", 32}});
  list.add("tune_shifted", "slightly", shared(changed(moving, turn(20))), again_conv,
           {{"momentum", 16}});
  list.add("tune_shifted", "negative", shared(changed(moving, negative)), again_norm,
           {{"adamw", 32}, {"momentum", 32}});
  list.add("tune_same", "dense", known, again, {{"sgd", 16}, {"momentum", 32}, {"adam", 32}});
  list.add("tune_same", "norm", known, again_norm, {{"adamw", 16}});
}

inline void add_later_kinds(TaskList& list) {
  const auto images = digit_samples(24, 0.2);
  const auto flat = [](const torch::Tensor& input) { return input.flatten(1); };
  const auto rows = [](const torch::Tensor& input) { return input.squeeze(1); };
  auto reproduced = changed(images, flat);
  reproduced.target = reproduced.input;
  reproduced.held_target = reproduced.held_input;
  list.add("autoencoder", "narrow", shared(reproduced), dense(64, 64, 1, 24), squared_error(),
           {{"sgd", 16}, {"momentum", 32}, {"adam", 32}});
  list.add("digits_rows", "lstm", shared(changed(images, rows)),
           reader<torch::nn::LSTM, torch::nn::LSTMOptions>(8, 10, 16), cross_entropy(),
           {{"momentum", 16}, {"adam", 16}, {"adamw", 64}});
  list.add("sheets", "dense", shared(curved_sheets()), dense(12, 6, 2, 32), cross_entropy(),
           {{"sgd", 32}, {"momentum", 8}, {"adam", 16}});
  const auto noisy = digit_samples(24, 0.4);
  const FineTuning conv{Pretrained(convolutional_backbone(4), 64, 5, shared(classes(noisy, 0, 4))),
                        Trained::all};
  list.add("tune_conv", "all", shared(classes(noisy, 5, 9)), conv,
           {{"sgd", 16}, {"momentum", 32}, {"adamw", 16}});
}

/// Trainings of 30,000 updates, which see each sample once.
inline void add_streams(TaskList& list) {
  constexpr std::int64_t held = 1000, samples = 16 * stream_steps + held;
  const auto batch = Normalisation::batch;
  const auto response = shared(responses(samples));
  list.add("stream_text", "mlp", shared(short_texts(samples)), by_two_letters(12, 24),
           second_letter_cross_entropy(), {{"momentum", 16}, {"adam", 8}});
  list.add("stream_digits", "dense", shared(digit_samples(280, 0.4)), dense(64, 10, 1, 32),
           cross_entropy(), {{"momentum", 16}, {"adam", 16}});
  list.add("stream_regression", "dense", response, dense(6, 2, 1, 32), squared_error(),
           {{"sgd", 16}, {"adamw", 8}});
  list.add("stream_likelihood", "dense", response, dense(6, 4, 1, 32), gaussian_likelihood(),
           {{"sgd", 8}, {"adam", 16}});
  list.add("stream_sheets", "batch_norm", shared(curved_sheets(samples)),
           dense(12, 6, 1, 32, batch), cross_entropy(), {{"momentum", 16}, {"adamw", 16}});
  list.add("stream_clusters", "tanh", shared(clusters(samples)), tanh_layers(10, 6, 2, 24),
           cross_entropy(), {{"sgd", 16}, {"adam", 8}});
}

/// All tasks: the first of each kind, then the second of each, and so on. `streams`: the trainings
/// of 30,000 updates instead of those of 3,000.
inline std::vector<Task> all_tasks(bool streams = false) {
  TaskList list(streams ? stream_steps : usual_steps);
  if (streams) {
    add_streams(list);
  } else {
    add_digits(list);
    add_tables(list);
    add_sequences(list);
    add_fine_tuning(list);
    add_later_kinds(list);
  }
  std::map<std::string, int> count;
  std::multimap<int, Task> by_place;
  for (Task& task : list.take()) by_place.emplace(count[task.kind]++, std::move(task));
  std::vector<Task> tasks;
  for (auto& [place, task] : by_place) tasks.push_back(std::move(task));
  return tasks;
}
