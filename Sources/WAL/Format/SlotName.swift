/// What a slot may be called: one to 64 of `a-z 0-9 . _ -`, neither `.` nor `..`, and not ending in `.tmp`, as slots that are
/// being made do. The name is the file's name below `slots/`.
public enum SlotName {
    public static func isValid(_ name: String) -> Bool {
        FormatLimits.slotNameLengths.contains(name.utf8.count) && name != "." && name != ".."
            && !name.hasSuffix(".tmp")
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    static func requireUsable(_ name: String) throws(WALError) {
        guard isValid(name) else {
            throw .encoding(reason: "\"\(name)\" cannot name a slot: 1 to 64 of a-z 0-9 . _ - and not ending in .tmp")
        }
    }
}

extension WALError {
    static func pinAboveDurable(_ lsn: LSN, _ durable: LSN) -> WALError {
        .encoding(reason: "a pin at LSN \(lsn) lies above the durable LSN \(durable): sync first")
    }
}
