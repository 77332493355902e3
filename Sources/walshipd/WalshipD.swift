import ArgumentParser
import WAL

/// The program: a list of subcommands, and the one place where an error becomes words on standard error and an exit code.
@main
struct WalshipD: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "walshipd",
        abstract: "Ships write-ahead logs to HTTP storage, and brings them back.",
        discussion: """
            Exit codes: 0 done, 1 failed, 2 usage, 3 corruption or gap found, 4 fenced or diverged, 5 not found, \
            6 storage unreachable or refused.
            """,
        version: "walshipd \(Version.current)",
        subcommands: subcommands)

    /// Every subcommand, in the order in which help shows them: run, serve, append, cat, restore, follow, replay, promote, verify, repair, prune, copy, flush, slots,
    /// status, key, demo. A command is registered when it does its work.
    static let subcommands: [any ParsableCommand.Type] = [
        RunCommand.self,
        ServeCommand.self,
        AppendCommand.self,
        CatCommand.self,
        RestoreCommand.self,
        FollowCommand.self,
        ReplayCommand.self,
        PromoteCommand.self,
        VerifyCommand.self,
        RepairCommand.self,
        PruneCommand.self,
        CopyCommand.self,
        FlushCommand.self,
        SlotsCommand.self,
        StatusCommand.self,
        KeyCommand.self,
        DemoCommand.self,
    ]

    static func main() async {
        LargeBlocks.areReturned()
        StandardStream.ignoreBrokenPipes()
        let arguments = Array(CommandLine.arguments.dropFirst())
        do {
            try StandardStream.claimDescriptors()
            let command = try parseAsRoot(arguments)
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                var synchronous = command
                try synchronous.run()
            }
        } catch {
            end(Ending(of: error, root: Self.self, arguments: arguments))
        }
    }

    private static func end(_ ending: Ending) -> Never {
        do {
            if let text = ending.output { try Output.standard.write(line: text) }
            if let text = ending.message { try Output.error.write(line: text) }
        } catch {
            // Nobody reads what we say: the exit code is all that is left to tell.
            Self.exit(withError: ArgumentParser.ExitCode(max(ending.code.rawValue, ExitCode.failed.rawValue)))
        }
        Self.exit(withError: ArgumentParser.ExitCode(ending.code.rawValue))
    }
}
