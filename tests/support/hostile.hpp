#pragma once

#include <string>
#include <vector>

// Texts that would create a file called `pwned` in the working directory, or break a picture, if
// gnuplot, a shell, a printf or a browser took them for more than text.
inline const std::vector<std::string>& hostile_texts() {
  static const std::vector<std::string> texts = {
      "`touch pwned`",
      "$(touch pwned)",
      "; touch pwned ;",
      "| touch pwned",
      "< touch pwned",
      "' ; system('touch pwned') #",
      "'.system('touch pwned').'",
      "\" ; system(\"touch pwned\") #",
      "\\\" . system('touch pwned') . \"",
      "\\'; system('touch pwned'); '",
      "''; !touch pwned",
      "\n!touch pwned\n",
      "x\nsystem 'touch pwned'\nEOD\n!touch pwned",
      "x\r!touch pwned",
      std::string("x\0!touch pwned", 14),
      "\\",
      "'",
      "\\n!touch pwned",
      "@touch @ARG1",
      "{/Symbol a}_{b}^{c} \\U+221E",
      "%s %n %d %%",
      "</script><script>x</script>",
      "</svg><!-- ]]> &amp;",
      "ümläut 学習率 \U0001F525",
      "\xff\xfe\xc3 broken \xed\xa0\x80 utf-8",
      "  ",
  };
  return texts;
}
