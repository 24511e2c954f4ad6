//! stub
pub fn html(
    _: &[crate::summary::RunSummary],
    _: Option<&crate::gate::GateRecord>,
    _: &mut dyn std::io::Write,
) -> Result<(), super::ReportError> {
    Ok(())
}
