//! A row of the hostcall table without a case does not compile: the file of its group has to expect a status of it.

/// Whether a text has these bytes somewhere. Asked by the compiler.
const fn has(text: &[u8], wanted: &[u8]) -> bool {
    let mut from = 0;
    while from + wanted.len() <= text.len() {
        let mut same = 0;
        while same < wanted.len() && text[from + same] == wanted[same] {
            same += 1;
        }
        if same == wanted.len() {
            return true;
        }
        from += 1;
    }
    false
}

macro_rules! every_row {
    ($($group:ident: $name:ident($($p:ident: $pk:ident),*) -> ($($r:ident: $rk:ident),*);)*) => {
        $(const _: () = assert!(
            has(
                include_bytes!(concat!("../cases/hostcalls/", stringify!($group), ".yaml")),
                concat!(stringify!($name), " -> ").as_bytes(),
            ),
            concat!(
                stringify!($name), " has no case: cases/hostcalls/", stringify!($group),
                ".yaml has to expect `", stringify!($name), " -> <status>`"
            ),
        );)*
    };
}
sluice_abi::for_each_hostcall!(every_row);
