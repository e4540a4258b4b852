//! Lines as they come: what did not end as it should is told at once.

use std::time::Duration;

use super::count::Count;
use crate::app::drive::Signals;
use crate::app::unless_gone;
use crate::error::Problem;
use crate::logs::input::{Piece, Pieces};
use crate::view::{Output, Page};

/// Follows to the end; `None`: nobody reads what is told any more.
pub(super) async fn run(
    mut count: Count,
    mut pieces: Pieces,
    length: Option<Duration>,
    signals: &mut Signals,
    output: &mut Output,
    page: &Page,
) -> Result<Option<Count>, Problem> {
    let over = signals.wait(length);
    tokio::pin!(over);
    loop {
        let piece = tokio::select! {
            biased;
            () = &mut over => break,
            piece = pieces.next() => piece,
        };
        match piece {
            Some(Piece::Block(block, _)) => {
                let told = count.block_told(&block, page);
                if !told.is_empty() && unless_gone(output.draw(|out| out.write_all(&told)))?.is_break() {
                    return Ok(None);
                }
            }
            Some(piece) => count.without_lines(piece),
            None => break,
        }
    }
    Ok(Some(count))
}
