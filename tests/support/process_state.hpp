#pragma once

#include <cfenv>
#include <clocale>
#include <csignal>
#include <filesystem>
#include <initializer_list>
#include <iostream>
#include <limits>
#include <locale>
#include <map>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <torch/torch.h>

#include <lrfinder/detail/text.hpp>
#include <lrfinder/torch/compatibility.hpp>

extern char** environ;

/// What a process and its calling thread have besides memory: what LibTorch, the C library and the
/// system remember of settings. To be compared with the same at another time.
class ProcessState {
 public:
  ProcessState() {
    using lrfinder::detail::concat;
    note("grad mode", torch::GradMode::is_enabled());
    note("inference mode", c10::InferenceMode::is_enabled());
    for (const auto type : {torch::kCPU, torch::kCUDA}) {
      const auto mode = lrfinder::detail::autocast_mode(type);
      note(concat("autocast on ", type), concat(mode.enabled, " ", mode.dtype));
    }
    note("autocast's cache", at::autocast::is_autocast_cache_enabled());
    const auto keys = c10::impl::tls_local_dispatch_key_set();
    note("dispatch keys", concat(keys.included_, keys.excluded_));
    note("anomaly mode", torch::autograd::AnomalyMode::is_enabled());
    note("default type", torch::get_default_dtype().name());
    note("threads of LibTorch", concat(at::get_num_threads(), " ", at::get_num_interop_threads()));
    note("deterministic algorithms", at::globalContext().deterministicAlgorithms());
    note("random state",
         at::globalContext().defaultGenerator(torch::kCPU).get_state().sum().item<std::int64_t>());
    note("seed", at::globalContext().defaultGenerator(torch::kCPU).current_seed());

    for (int number = 1; number < NSIG; ++number) note_signal(number);
    ::sigset_t blocked;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    note("signal mask", in_words(blocked));
    ::itimerval timer{};
    ::getitimer(ITIMER_REAL, &timer);
    note("timer", timer.it_value.tv_sec);
    note("children", ::waitpid(-1, nullptr, WNOHANG));

    std::error_code no_proc;
    for (const auto& file : std::filesystem::directory_iterator("/proc/self/fd", no_proc)) {
      std::error_code gone;
      const auto target = std::filesystem::read_symlink(file.path(), gone).string();
      if (target.find("/fd") == std::string::npos) note("file " + file.path().string(), target);
    }
    note("working folder", std::filesystem::current_path().string());
    const auto umask = ::umask(0);
    ::umask(umask);
    note("umask", umask);
    for (const auto what : {RLIMIT_NOFILE, RLIMIT_AS, RLIMIT_CORE}) {
      ::rlimit limit{};
      ::getrlimit(what, &limit);
      note(concat("limit ", static_cast<int>(what)), limit.rlim_cur);
    }
    for (char** each = environ; *each != nullptr; ++each) note("environment", *each);

    note("locale of C", std::setlocale(LC_ALL, nullptr));
    note("locale of C++", std::locale().name());
    note("decimal point", std::use_facet<std::numpunct<char>>(std::locale()).decimal_point());
    note("rounding", std::fegetround());
#ifdef __GLIBC__
    note("floating-point traps", ::fegetexcept());
#endif
    const volatile float smallest = std::numeric_limits<float>::min();
    note("denormal numbers", smallest / 2 > 0);
    for (std::ostream* stream : {&std::cout, &std::cerr, &std::clog}) {
      note("a standard stream",
           concat(stream->flags(), ' ', stream->precision(), ' ', stream->width(), ' ',
                  stream->fill(), ' ', stream->exceptions(), ' ', stream->rdbuf()));
    }
  }

  /// What differs, in words; empty when nothing does.
  std::string differences(const ProcessState& later) const {
    std::string all;
    const auto add_missing = [&](const auto& some, const auto& others, const char* what) {
      for (const auto& [name, value] : some) {
        const auto found = others.find(name);
        if (found == others.end() || found->second != value) all += what + name + ": " + value;
      }
    };
    add_missing(parts_, later.parts_, "\nbefore: ");
    add_missing(later.parts_, parts_, "\nafter: ");
    return all;
  }

 private:
  template <class Value>
  void note(const std::string& name, const Value& value) {
    parts_[name] += lrfinder::detail::concat(value, "\n");
  }

  void note_signal(int number) {
    struct sigaction action {};
    if (::sigaction(number, nullptr, &action) != 0) return;
    constexpr int restorer = 0x04000000;  // glibc adds this flag when a program sets an action
    note("signal " + std::to_string(number),
         lrfinder::detail::concat(reinterpret_cast<const void*>(action.sa_handler), ' ',
                                  action.sa_flags & ~restorer, ' ', in_words(action.sa_mask)));
  }

  static std::string in_words(const ::sigset_t& signals) {
    std::string words;
    for (int number = 1; number < NSIG; ++number) {
      if (::sigismember(&signals, number) == 1) words += " " + std::to_string(number);
    }
    return words;
  }

  std::map<std::string, std::string> parts_;
};
