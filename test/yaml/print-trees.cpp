// What yaml-cpp reads: takes texts from the standard input, each behind a line with its length in bytes, and prints a
// line for each, the trees of its documents as JSON with a character for each byte: `null`, a text, a sequence as
// ["s", …], a mapping as ["m", key, value, …]; "refused" or "deep" alone for what it refuses or what is nested without end.
//
// yaml-cpp must be as new as Falco's, 0.8 or later: 0.7 never ends with some texts.
//
//     g++ -std=c++17 -O1 -o print-trees test/yaml/print-trees.cpp -lyaml-cpp
//     YAML_CPP=$PWD/print-trees node --test test/yaml/yaml-cpp.test.ts
#include <yaml-cpp/yaml.h>

#include <cstdio>
#include <iostream>
#include <stdexcept>
#include <string>

namespace {

struct TooDeep : std::runtime_error {
  TooDeep() : std::runtime_error("deep") {}
};

class Printer {
 public:
  std::string text;

  void print(const YAML::Node& node, int depth) {
    if (depth > 100 || text.size() > 1000000) throw TooDeep();
    if (!node.IsDefined() || node.IsNull()) {
      text += "null";
    } else if (node.IsScalar()) {
      quote(node.Scalar());
    } else {
      text += node.IsSequence() ? "[\"s\"" : "[\"m\"";
      for (auto one = node.begin(); one != node.end(); ++one) {
        if (node.IsSequence()) {
          next(*one, depth);
        } else {
          next(one->first, depth);
          next(one->second, depth);
        }
      }
      text += "]";
    }
  }

 private:
  void next(const YAML::Node& node, int depth) {
    text += ",";
    print(node, depth + 1);
  }

  void quote(const std::string& bytes) {
    text += '"';
    for (unsigned char byte : bytes) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", byte);
      text += escaped;
    }
    text += '"';
  }
};

std::string trees(const std::string& text) {
  try {
    Printer printer;
    printer.text = "[";
    for (const YAML::Node& document : YAML::LoadAll(text)) {
      if (printer.text.size() > 1) printer.text += ",";
      printer.print(document, 0);
    }
    return printer.text + "]";
  } catch (const TooDeep&) {
    return "\"deep\"";
  } catch (const std::exception&) {
    return "\"refused\"";
  }
}

}  // namespace

int main() {
  std::size_t length = 0;
  while (std::cin >> length) {
    std::cin.get();
    std::string text(length, '\0');
    std::cin.read(&text[0], static_cast<std::streamsize>(length));
    std::cout << trees(text) << '\n';
  }
}
