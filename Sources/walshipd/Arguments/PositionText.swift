import Follower
import WAL

/// Where a consumer goes on, on the command line: an LSN, or one with the id of its epoch, as `next` is printed.
enum PositionText {
    static func parse(_ text: String) throws(ArgumentTextError) -> LogPosition {
        guard text.utf8.contains(UInt8(ascii: "@")) else { return LogPosition(try LSNText.parse(text)) }
        guard let position = LogPosition(text) else {
            throw ArgumentTextError("expected an LSN, or an LSN, @ and the 16 hex digits of an epoch's id, as next is printed")
        }
        return position
    }
}
