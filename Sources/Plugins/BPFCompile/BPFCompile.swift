import Foundation
import PackagePlugin

/// Compiles every `bpf/programs/NAME.bpf.c` with the toolchain's clang and embeds the objects.
///
/// The target that uses the plugin gets one C file a program, plus a table of all of them behind
/// `genie_bpf_objects()`. Every file under `bpf/` is an input, so an edited header rebuilds all.
@main
struct BPFCompile: BuildToolPlugin {
    func createBuildCommands(
        context: PluginContext,
        target: any Target
    ) throws -> [Command] {
        let root = context.package.directoryURL.appending(path: "bpf")
        let inputs = try files(under: root)
        let suffix = ".bpf.c"
        let names = inputs.map(\.lastPathComponent).filter { $0.hasSuffix(suffix) }
            .map { String($0.dropLast(suffix.count)) }
            .sorted()
        let clang = try context.tool(named: "clang").url
        let output = context.pluginWorkDirectoryURL
        return names.map { compile($0, clang: clang, root: root, inputs: inputs, output: output) }
            + [table(of: names, inputs: inputs, output: output)]
    }

    private func files(under root: URL) throws -> [URL] {
        try FileManager.default.subpathsOfDirectory(atPath: root.path)
            .filter { $0.hasSuffix(".c") || $0.hasSuffix(".h") }
            .sorted()
            .map { root.appending(path: $0) }
    }

    private func compile(
        _ name: String,
        clang: URL,
        root: URL,
        inputs: [URL],
        output: URL
    ) -> Command {
        let source = root.appending(path: "programs/\(name).bpf.c")
        let object = output.appending(path: "\(name).bpf.o")
        let embedding = output.appending(path: "\(name)_embed.c")
        // The object itself is no declared output: SwiftPM would copy it as a resource.
        let script = """
            "$1" -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror \
            -I"$2/include" -I"/usr/include/$(uname -m)-linux-gnu" -c "$3" -o "$4"
            cat > "$5" <<END
            #include <stddef.h>
            #pragma clang diagnostic ignored "-Wc23-extensions"
            const unsigned char genie_bpf_\(name)[] __attribute__((aligned(8))) = {
            #embed "$4"
            };
            const size_t genie_bpf_\(name)_size = sizeof(genie_bpf_\(name));
            END
            """
        return .buildCommand(
            displayName: "Compiling BPF program \(name)",
            executable: URL(filePath: "/bin/sh"),
            arguments: [
                "-ec", script, "sh", clang.path, root.path, source.path, object.path,
                embedding.path,
            ],
            inputFiles: inputs,
            outputFiles: [embedding]
        )
    }

    private func table(of names: [String], inputs: [URL], output: URL) -> Command {
        let file = output.appending(path: "table.c")
        let externs = names.map {
            """
            extern const unsigned char genie_bpf_\($0)[];
            extern const size_t genie_bpf_\($0)_size;

            """
        }
        let rows = names.map { "\t{ \"\($0)\", genie_bpf_\($0), &genie_bpf_\($0)_size },\n" }
        let text = """
            #include "programs.h"

            \(externs.joined())
            static const struct genie_bpf_object objects[] = {
            \(rows.joined())};

            const struct genie_bpf_object *genie_bpf_objects(size_t *count)
            {
            \t*count = sizeof(objects) / sizeof(objects[0]);
            \treturn objects;
            }

            """
        return .buildCommand(
            displayName: "Listing BPF programs",
            executable: URL(filePath: "/bin/sh"),
            arguments: ["-ec", "printf '%s' \"$1\" > \"$2\"", "sh", text, file.path],
            inputFiles: inputs,
            outputFiles: [file]
        )
    }
}
