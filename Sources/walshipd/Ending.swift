import ArgumentParser
import WAL

/// How the program ends after an error: the exit code, and what is said where.
///
/// Messages read `walshipd COMMAND: what, where; what to do`.
struct Ending: Equatable {
    var code: ExitCode
    /// For standard output: help and version, which were asked for.
    var output: String?
    /// For standard error.
    var message: String?

    init(code: ExitCode, output: String? = nil, message: String? = nil) {
        self.code = code
        self.output = output
        self.message = message
    }

    /// `arguments` are those of the program, without its name.
    init(of error: any Error, root: any ParsableCommand.Type, arguments: [String]) {
        let prefix = Ending.prefix(root: root, arguments: arguments)
        if let walError = error as? WALError, walError.isBrokenPipe {
            // The reader of our output has gone (`walshipd cat … | head`): nothing to say and nobody to say it to. Not all
            // was delivered, so it is no success either.
            self.init(code: .failed)
            return
        }
        if let code = ExitCode(ofDomainError: error) {
            self.init(code: code, message: "\(prefix): \(error)")
            return
        }
        // Whatever ArgumentParser throws: help and version (success), or usage.
        let parserCode = root.exitCode(for: error)
        if parserCode.isSuccess {
            let text = root.fullMessage(for: error)
            self.init(code: .done, output: text.isEmpty ? nil : text)
        } else if parserCode == .validationFailure {
            var text = root.fullMessage(for: error)
            if text.hasPrefix("Error: ") { text.removeFirst("Error: ".count) }
            self.init(code: .usage, message: "\(prefix): \(text)")
        } else {
            self.init(code: .failed, message: "\(prefix): \(error)")
        }
    }

    /// `walshipd`, and the command where the first argument names one.
    private static func prefix(root: any ParsableCommand.Type, arguments: [String]) -> String {
        let names = root.configuration.subcommands.compactMap { $0.configuration.commandName }
        guard let first = arguments.first, names.contains(first) else { return "walshipd" }
        return "walshipd \(first)"
    }
}
