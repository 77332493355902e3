import Foundation
import WAL

/// `bank serve DIR` takes commands from standard input, one a line, and answers each when it is safe; `bank balances DIR` shows who has how much;
/// `bank watch DIR CENTS` waits until the bank holds that much.
@main struct BankCommand {
    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        do {
            switch (arguments.first, arguments.dropFirst().first, arguments.dropFirst(2).first.flatMap { UInt64($0) }) {
            case ("serve", let directory?, nil): try serve(directory)
            case ("balances", let directory?, nil): try show(Branch(directory: directory).accounts())
            case ("watch", let directory?, let cents?): try await watch(directory, until: cents)
            default: throw Refusal("say: bank serve DIR, bank balances DIR, or bank watch DIR CENTS")
            }
        } catch {
            FileHandle.standardError.write(Data("bank: \(error)\n".utf8))
            exit(1)
        }
    }

    private static func serve(_ directory: String) throws {
        let bank = try Bank(directory: directory)
        while let line = readLine() {
            do {
                say("done \(try bank.execute(Command(line)))")
            } catch let refusal as Refusal {
                say("refused: \(refusal)")
            }
        }
        try bank.close()
    }

    private static func watch(_ directory: String, until cents: UInt64) async throws {
        let branch = try Branch(directory: directory)
        defer { branch.close() }
        try await branch.follow { _, accounts in
            guard accounts.total >= cents else { return false }
            show(accounts)
            return true
        }
    }

    private static func show(_ accounts: Accounts) {
        for (account, cents) in accounts.cents.sorted(by: { $0.key < $1.key }) { say("\(account) \(cents)") }
    }

    /// At once, also into a pipe.
    private static func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
}
