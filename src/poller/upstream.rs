//! Whom the poller asks.

use std::future::Future;
use std::io;

use crate::domain::reading::Page;
use crate::domain::time::Range;
use crate::jelou::ApiError;

/// Where conversations come from: the API client, or a stand-in in tests.
pub trait Upstream: Send + Sync + 'static {
    /// One page of the conversations that started within the range; the first page is 1.
    fn conversations(&self, range: Range, page: u32) -> impl Future<Output = Result<Page, ApiError>> + Send;

    /// Looks at the files of the credentials: what it finds is what the next two go by.
    ///
    /// # Errors
    ///
    /// When one does not answer: of that one nothing new is known.
    fn look_at_files(&self) -> impl Future<Output = io::Result<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// Takes over what the files of the credentials hold; true when they are others now.
    ///
    /// # Errors
    ///
    /// When one cannot be used.
    fn reload_credentials(&self) -> io::Result<bool>;

    /// Whether these files hold something else than what is in use.
    fn credentials_changed(&self) -> bool;

    /// Where it asks, as a log may name it, and by which proxy if there is one.
    fn place(&self) -> (Option<&str>, Option<&str>) {
        (None, None)
    }

    /// What is known about an error besides what it says.
    fn hint(&self, _error: &ApiError) -> Option<String> {
        None
    }
}

impl Upstream for crate::jelou::Client {
    async fn conversations(&self, range: Range, page: u32) -> Result<Page, ApiError> {
        Self::conversations(self, range, page).await
    }

    async fn look_at_files(&self) -> io::Result<()> {
        Self::look_at_files(self).await
    }

    fn reload_credentials(&self) -> io::Result<bool> {
        Self::reload_credentials(self)
    }

    fn credentials_changed(&self) -> bool {
        Self::credentials_changed(self)
    }

    fn place(&self) -> (Option<&str>, Option<&str>) {
        let (url, proxy) = Self::place(self);
        (Some(url), proxy)
    }

    fn hint(&self, error: &ApiError) -> Option<String> {
        Self::hint(self, error)
    }
}
