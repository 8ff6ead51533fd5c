# Doxygen's filter for Markdown: gives each heading the anchor that GitHub gives it, after the name of its
# page, and makes links to headings refer to it. Links to files that are no pages become text.

function anchor(file, text) {
  sub(/[.]md$/, "", file)
  sub(/.*\//, "", file)
  text = tolower(text)
  gsub(/[^a-z0-9 _-]/, "", text)
  gsub(/ /, "-", text)
  return file "-" text
}

/^```/ { code = !code }
!code && /^##+ / {
  title = $0
  sub(/^##+ /, "", title)
  $0 = $0 " {#" anchor(FILENAME, title) "}"
}
!code {
  while (match($0, /\]\(([a-z_\/.]+[.]md)?#[a-z0-9_-]+\)/)) {
    link = substr($0, RSTART + 2, RLENGTH - 3)
    hash = index(link, "#")
    page = hash > 1 ? substr(link, 1, hash - 1) : FILENAME
    $0 = substr($0, 1, RSTART - 1) "](@ref " anchor(page, substr(link, hash + 1)) ")" \
      substr($0, RSTART + RLENGTH)
  }
  while (match($0, /\[[^]]*\]\((\.\.\/)*(examples|tests|benchmarks|LICENSE|CONTRIBUTING)[^)]*\)/)) {
    text = substr($0, RSTART + 1, RLENGTH - 1)
    $0 = substr($0, 1, RSTART - 1) substr(text, 1, index(text, "]") - 1) substr($0, RSTART + RLENGTH)
  }
}
{ print }
